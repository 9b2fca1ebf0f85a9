"""A run for the world outside: folders that transformers loads, TensorBoard's files, model
cards."""
