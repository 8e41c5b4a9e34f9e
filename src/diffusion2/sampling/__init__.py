"""Sampling: the joint reverse diffusion of the image matrix."""

from diffusion2.sampling.generate import assemble_matrix, decode_matrix, sample_matrix, sample_references
from diffusion2.sampling.preview import Preview

__all__ = ["Preview", "assemble_matrix", "decode_matrix", "sample_matrix", "sample_references"]
