"""What noise on an image proves: shares of noisy draws, their bounds, and certified radii, in NumPy."""
