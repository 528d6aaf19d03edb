"""Photographs to vectors: reading images, running networks, keeping what they gave."""
