"""Decoder language models that read packed prefix trees."""
