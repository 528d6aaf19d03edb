"""The audit store: verdicts with their images and human labels, in a tamper-evident database."""
