"""Discrete Bayesian networks from files, ProbLog and BIF: parsed, never executed."""
