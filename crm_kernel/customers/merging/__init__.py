"""Makes one customer of two through the data map, and two of one again."""
