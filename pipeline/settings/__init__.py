"""The settings of every stage, in one tree."""
