"""The stages of the pipeline and their files: dataset, features, embeddings, training, evaluation, prediction."""
