"""NumPyro and Pyro functions read as data: parsed, translated, never executed."""
