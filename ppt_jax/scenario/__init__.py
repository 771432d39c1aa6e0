"""Scenario documents: the schema `scenario/1`, its formula language, checks and printing."""
