"""Extract vectors: one per second of a video, one per class name. This package uses neither labels nor HDF5."""
