"""Priors: networks (or closed forms) that estimate clean sequences from noisy ones."""
