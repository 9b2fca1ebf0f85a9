"""A run for others: transformers, TensorBoard, a card."""
