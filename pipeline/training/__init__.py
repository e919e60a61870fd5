"""Train a model on features and class embeddings."""
