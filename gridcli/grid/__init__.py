"""The grid: coordinates to tiles, and tiles to places on the earth."""
