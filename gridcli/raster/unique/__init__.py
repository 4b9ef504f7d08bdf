"""Counting each distinct coordinate once (`--unique`), exactly and within a limit of memory."""
