"""Answering questions about a text."""
