"""The benchmark: attacks, defences and detectors on real images, one record a cell, tables from records."""
