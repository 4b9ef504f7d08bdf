"""Synthetic GPS data with known truth."""
