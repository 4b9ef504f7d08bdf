"""Tests of gridcli."""
