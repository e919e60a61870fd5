"""One finder for each kind of dataset."""
