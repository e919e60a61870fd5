"""Datasets: videos, their classes and their splits."""
