"""A mesh's texture as a file: PNG, sRGB; beside files that can't hold it."""

import io
from pathlib import Path

from PIL import Image
from torch import Tensor

from diffusion2.pictures import to_bytes

NAME = "texture"
"""What it is called after the name of the file that it stands beside: a fox.png may well be there."""


def encode_texture(texture: Tensor) -> bytes:
    """Encode a texture (h, w, 3) in [0, 1] as PNG."""
    picture = io.BytesIO()
    Image.fromarray(to_bytes(texture).numpy()).save(picture, format="PNG", optimize=True)
    return picture.getvalue()


def path_beside(path: Path) -> Path:
    """Say where the texture of a file goes: `fox_texture.png` for `fox.abc`."""
    return path.with_name(f"{path.stem}_{NAME}.png")
