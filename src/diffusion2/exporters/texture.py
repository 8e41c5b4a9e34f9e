"""A mesh's texture as a file: PNG, sRGB; beside files that can't hold it."""

import io
from pathlib import Path

import numpy as np
import torch
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


def upward(uvs: Tensor) -> np.ndarray:
    """Turn coordinates (P, 2) with v downwards, as glTF's, into those with v upwards, as most others'."""
    return torch.stack([uvs[:, 0], 1 - uvs[:, 1]], dim=1).numpy()


def path_beside(path: Path) -> Path:
    """Say where the texture of a file goes: `fox_texture.png` for `fox.abc`."""
    return path.with_name(f"{path.stem}_{NAME}.png")
