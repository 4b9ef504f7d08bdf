"""RASTER in three and four dimensions: a place, and an hour, a weekday or any other number."""
