"""What decides whether an image is flagged: one rule a file."""
