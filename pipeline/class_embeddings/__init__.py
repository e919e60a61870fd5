"""Class embeddings: the vectors of class names, cached in the workspace."""
