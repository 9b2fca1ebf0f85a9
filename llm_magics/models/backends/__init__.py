"""What computes a model: one module or folder for each."""
