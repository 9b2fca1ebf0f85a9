"""Searches for good settings: studies of many trainings, and the learning-rate range test."""
