"""From features and class embeddings to a model."""
