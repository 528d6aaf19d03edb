"""Thresholds with a promised false-alarm rate, and a monitor for drift, in NumPy."""
