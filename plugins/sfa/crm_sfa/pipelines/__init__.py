"""Pipelines and their stages: the ways a deal can go."""
