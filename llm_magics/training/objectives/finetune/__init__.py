"""Objectives that fine-tune a model of transformers."""
