"""Evaluation of guarded networks against adaptive and black-box attacks."""
