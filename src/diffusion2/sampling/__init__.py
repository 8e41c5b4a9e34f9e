"""Sampling: the joint reverse diffusion of the image matrix."""

from diffusion2.sampling.generate import decode_matrix, sample_matrix, sample_references

__all__ = ["decode_matrix", "sample_matrix", "sample_references"]
