"""Whether a customer may be contacted: what was agreed and withdrawn, which values must not be used, and the one gate."""
