"""What `avzsl probe` shows about a clip."""
