"""The demonstration: train, fit, attack, check and report on scikit-learn's digits."""
