"""Fitting, checking and measuring on many processes or machines with Ray. ``docs/scale.md`` says how to use it."""
