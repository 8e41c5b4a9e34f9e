"""Results as files that other programs open: video, web page, contact sheet."""

from diffusion2.exporters.contact_sheet import write_contact_sheet
from diffusion2.exporters.formats import export
from diffusion2.exporters.html import write_viewer
from diffusion2.exporters.video import write_orbit_video, write_video

__all__ = ["export", "write_contact_sheet", "write_orbit_video", "write_video", "write_viewer"]
