"""The numbers behind the pipelines: one report, one dashboard."""
