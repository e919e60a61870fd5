"""The file layouts of the benchmark: one file, read and written."""
