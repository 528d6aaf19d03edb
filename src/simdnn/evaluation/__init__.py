"""The benchmark: attacks, defences and detectors on real images; one record per cell, and tables from records."""
