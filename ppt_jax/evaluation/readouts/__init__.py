"""Ways to read an answer distribution out of a language model; see docs/evaluation.md."""
