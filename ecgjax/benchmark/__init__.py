"""Measuring how fast steps are: scripts/benchmark.py."""
