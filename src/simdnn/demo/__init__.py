"""Asks whether any of it is good: attacks, digits to try them on, and the demonstration."""
