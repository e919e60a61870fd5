"""The published tables, computed again."""
