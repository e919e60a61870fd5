"""PE-AV, one space for sound, picture, both and text."""
