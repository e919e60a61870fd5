"""Decoding with PyAV, the default decoder."""
