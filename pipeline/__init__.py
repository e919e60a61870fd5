"""The stages and everything on disk: dataset, features, embeddings, training, evaluation, prediction, caching."""
