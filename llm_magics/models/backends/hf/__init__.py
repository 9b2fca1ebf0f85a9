"""Models of transformers, computed by torch."""
