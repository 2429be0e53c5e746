"""Benchmarks: ratios against a floor in the same run, never asserted by a test."""
