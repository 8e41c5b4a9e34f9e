"""Measuring results: perceptual distance and, later, the paper's tables."""
