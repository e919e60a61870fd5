"""Generated features with the benchmark's numbers of classes and videos."""
