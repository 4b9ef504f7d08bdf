"""Writing layers to files: formats, and atomic replacement."""
