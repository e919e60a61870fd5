"""From videos to features.h5."""
