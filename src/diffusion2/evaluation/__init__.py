"""Measuring results: metrics, ground truth, comparisons, the benchmark, and the theorem in numbers."""
