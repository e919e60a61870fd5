"""DAAN: the network, its losses and one training step. This package imports torch only."""
