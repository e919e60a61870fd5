"""Compute metrics from distances; nothing here writes files."""
