"""From a workspace to a folder of the benchmark."""
