"""Import a folder of the benchmark into a workspace."""
