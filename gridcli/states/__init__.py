"""State files: tile counts with where they come from, to merge, subtract and append to."""
