"""Metrics between matrices of images, and the networks that some of them need."""
