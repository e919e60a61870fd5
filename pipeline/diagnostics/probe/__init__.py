"""What `avzsl probe` shows of a clip."""
