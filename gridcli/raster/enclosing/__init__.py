"""Shapes that enclose hubs: convex hulls, and ellipses of the smallest area."""
