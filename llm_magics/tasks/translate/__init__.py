"""Translating one text or many."""
