"""The store of what was flagged, for people to look at later."""
