"""What generate of transformers would write, in a faster loop."""
