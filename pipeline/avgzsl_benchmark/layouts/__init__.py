"""The file layouts of the benchmark: read and write one file."""
