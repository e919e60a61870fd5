"""From a class's name to its vector, kept in the workspace."""
