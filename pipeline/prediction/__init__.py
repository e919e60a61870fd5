"""Predict the classes of a clip with a trained model."""
