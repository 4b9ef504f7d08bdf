"""Neighbours by hops, on grids whose rows have different numbers of columns."""
