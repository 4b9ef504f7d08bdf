"""gridcli finds hubs in huge GPS files: RASTER clustering, streamed, exact and multithreaded."""

__version__ = "0.1.0"
