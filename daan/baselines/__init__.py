"""The methods of the published tables, one file each; DAAN does not know them."""
