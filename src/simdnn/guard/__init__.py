"""What a user runs: images in, verdicts out."""
