"""Compute the published tables again."""
