"""The asset as a mesh (end of section 3.4 of the paper): surface, unwrapping, texture."""

from diffusion2.reconstruction.mesh.extract import extract_mesh

__all__ = ["extract_mesh"]
