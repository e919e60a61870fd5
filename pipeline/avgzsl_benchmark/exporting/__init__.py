"""Export a workspace as a folder of the benchmark."""
