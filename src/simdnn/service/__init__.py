"""The guard over HTTP: checks in batches, access by tokens, metrics, and the auditor's pages."""
