"""Scenarios by a language model: plan, imagine, formalise, simulate, tell, rebuild, keep."""
