"""The published audio-visual zero-shot benchmark: its files and its results."""
