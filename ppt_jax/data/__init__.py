"""Labelled records on disk, prompts, answer tries, packed batches."""
