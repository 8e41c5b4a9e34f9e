"""The live viewer, and what it shares with the web page that `export` writes."""

from diffusion2.viewer.live import LiveViewer, serve

__all__ = ["LiveViewer", "serve"]
