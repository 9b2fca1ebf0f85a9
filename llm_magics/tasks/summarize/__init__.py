"""Summarising one text or many."""
