"""The machine: threads, compiled kernels, progress, signals."""
