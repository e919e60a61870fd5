"""The published audio-visual zero-shot benchmark."""
