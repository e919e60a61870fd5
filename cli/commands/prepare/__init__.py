"""The commands `avzsl prepare ...`."""
