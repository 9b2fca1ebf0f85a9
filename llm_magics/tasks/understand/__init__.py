"""Language, sentiment, entities, key phrases, labels, likeness."""
