"""Generate features with the numbers of classes and videos of a benchmark."""
