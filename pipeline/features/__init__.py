"""The store of per-second features."""
