"""The paper's mathematics, in NumPy: equations, learning, prototypes, thresholds and the estimator."""
