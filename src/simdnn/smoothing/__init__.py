"""Randomized smoothing: vote shares under noise, their confidence bounds, and certified radii, in NumPy."""
