"""Outlines where rows have different columns: traced from stretches of adjacent tiles."""
