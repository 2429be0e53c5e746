"""Sales force automation: pipelines, opportunities, boards and the numbers behind them."""
