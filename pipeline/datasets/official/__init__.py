"""The class lists and splits of the published benchmark."""
