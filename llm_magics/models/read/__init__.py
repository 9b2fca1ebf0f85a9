"""What models say of a text: next tokens, spans, labels, classes, embeddings."""
