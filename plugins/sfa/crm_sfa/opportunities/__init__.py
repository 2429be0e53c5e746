"""Opportunities: deals on their way through a pipeline, until they are won or lost."""
