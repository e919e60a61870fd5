"""DAAN: the network, its losses, one training step. Knows torch only."""
