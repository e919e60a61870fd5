"""C3D for pictures and VGGish for sound, the benchmark's cls features."""
