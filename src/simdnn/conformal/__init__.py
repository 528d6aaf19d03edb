"""Conformal thresholds with a guaranteed false-alarm rate, and a test for drift, in NumPy."""
