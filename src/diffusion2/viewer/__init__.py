"""The live viewer, and what it shares with the web page that `exporters` writes."""

from diffusion2.viewer.live import LiveViewer, serve

__all__ = ["LiveViewer", "serve"]
