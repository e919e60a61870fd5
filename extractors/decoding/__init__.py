"""From a video file to seconds of pictures and sound."""
