"""Batches: many whole texts from one file."""
