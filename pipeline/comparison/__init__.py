"""Compare methods on the features of one workspace."""
