"""Image files to pixels: reading, limits, preprocessing, shifts and harmless corruptions."""
