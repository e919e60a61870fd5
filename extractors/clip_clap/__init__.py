"""CLIP for pictures and CLAP for sound, each with its text tower."""
