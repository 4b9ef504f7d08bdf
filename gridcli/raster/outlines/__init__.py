"""Outlines of hubs: the dissolved boundary of each hub's tiles."""
