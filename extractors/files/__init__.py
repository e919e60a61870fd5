"""Downloads, checksums, and reading pickles as plain data."""
