"""Captures: pictures with the cameras that other programs found for them, as an image matrix.

Read are nerfstudio's and D-NeRF's `transforms*.json` (`nerfstudio.py`) and COLMAP's text files (`colmap.py`).
`folder.py` tells what a folder is, `rig.py` orders its pictures by camera and time, `world.py` brings the
scene into our world, `rectify.py` turns each camera to the origin and gives all of them one lens.
"""

from diffusion2.inputs.captures.folder import is_capture
from diffusion2.inputs.captures.read import Capture, read_capture

__all__ = ["Capture", "is_capture", "read_capture"]
