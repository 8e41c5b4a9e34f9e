"""Sampling: the joint reverse diffusion of the image matrix."""

from diffusion2.sampling.generate import assemble_matrix, decode_matrix, matrix_images, sample_matrix
from diffusion2.sampling.preview import Preview
from diffusion2.sampling.references import sample_references

__all__ = [
    "Preview",
    "assemble_matrix",
    "decode_matrix",
    "matrix_images",
    "sample_matrix",
    "sample_references",
]
