"""Decode with PyAV, the default decoder."""
