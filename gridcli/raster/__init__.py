"""RASTER: contraction, agglomeration, hubs and their outlines."""
