"""Video -> per-second vectors; class name -> vector. Knows no labels and no HDF5."""
