"""Diffusion²: pictures into moving 3D assets."""
