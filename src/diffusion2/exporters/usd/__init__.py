"""USD: the textured mesh, or the Gaussians, and how they move."""

from diffusion2.exporters.usd.mesh import write_usd_mesh, write_usdz
from diffusion2.exporters.usd.splats import write_usd_splats

__all__ = ["write_usd_mesh", "write_usd_splats", "write_usdz"]
