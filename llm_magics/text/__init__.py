"""Pure text, no model: sentences, segments, language, terms, alignment, key phrases, passages."""
