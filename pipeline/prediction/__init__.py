"""The classes of a clip, by a trained model."""
