"""Text encoders: turn the phrases of classes into vectors."""
