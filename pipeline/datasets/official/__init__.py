"""The official class lists and splits of the published benchmark."""
