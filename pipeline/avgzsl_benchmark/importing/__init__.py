"""From a folder of the benchmark to a workspace."""
