"""Relaxation: tiles below tau that count as significant all the same."""
