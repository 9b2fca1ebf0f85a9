"""Runs on disk: listed, compared, prolonged, renamed, deleted."""
