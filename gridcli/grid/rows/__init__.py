"""Projection to grids whose rows have different numbers of columns."""
