"""HDF5 files: written whole or not at all, and read only after another process could read them."""
