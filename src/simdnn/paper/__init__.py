"""The paper in NumPy: equations, learning procedure, prototypes, m-sigma rule and a scikit-learn estimator."""
