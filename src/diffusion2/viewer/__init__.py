"""Pages in the browser, on this machine only: the live viewer, and the app that makes runs."""

from diffusion2.viewer.app import App, serve_app
from diffusion2.viewer.live import LiveViewer, serve

__all__ = ["App", "LiveViewer", "serve", "serve_app"]
