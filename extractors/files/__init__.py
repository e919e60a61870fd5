"""Downloads, checksums, and pickles read as plain data."""
