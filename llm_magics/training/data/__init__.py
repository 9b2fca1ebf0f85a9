"""Rows: read, checked, cleaned, augmented, turned into tokens and put into batches."""
