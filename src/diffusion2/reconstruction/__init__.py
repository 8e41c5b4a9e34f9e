"""Stage 2: the image matrix becomes dynamic 3D Gaussians (section 3.4 of the paper)."""

from diffusion2.reconstruction.stage import reconstruct_matrix

__all__ = ["reconstruct_matrix"]
