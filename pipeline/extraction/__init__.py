"""The extraction stage: from videos to features.h5."""
