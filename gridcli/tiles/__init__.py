"""Counted tiles: the table that contraction fills, and its finished form."""
