"""From a class's phrase to its vector."""
