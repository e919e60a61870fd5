"""Decode video files to seconds of pictures and sound."""
