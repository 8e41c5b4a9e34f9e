"""A picture of an object as the input of a run: read, cut out, framed."""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from diffusion2.errors import InputError
from diffusion2.image_matrix import Conditions
from diffusion2.inputs.background import cut_out_plain_background

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "TGA")
LATER = {".mp4", ".mov", ".webm", ".mkv", ".avi", ".glb", ".gltf", ".obj", ".ply", ".stl"}
MAX_PIXELS = 8192 * 8192
MIN_SIDE_PX = 16
MIN_OBJECT_PX = 8
WORKING_SIDE_PX = 2048
VISIBLE_ALPHA = 16


def read_conditions(path: Path, *, size: int, object_size: float = 0.9) -> Conditions:
    """Read a picture and frame its object for the priors.

    Args:
        path: a picture file. With an alpha channel it says what the object is; without one, the
            background must be plain.
        size: height and width of the result in pixels.
        object_size: share of the frame that the object's longer side fills, in (0, 1].

    Returns:
        Conditions with `picture` (3, size, size) float32 in [0, 1] on white, in steps of 1/255.

    Raises:
        InputError: the file is missing, can't be read, is too large or too small, or shows no object.
    """
    return Conditions(picture=frame_object(read_cut_out(path), size=size, object_size=object_size))


def read_cut_out(path: Path) -> Image.Image:
    """Read a picture as RGBA whose alpha is the object; at most 2048 pixels a side.

    Orientation is applied. Only the first frame of an animation counts.

    Raises:
        InputError: see `read_conditions`.
    """
    _check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = _decode(path)
    except InputError:
        raise
    except Exception as error:  # decoders raise anything on broken data
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} can't be read as a picture: it may be damaged ({reason})") from error
    alpha = np.asarray(picture.getchannel("A"))
    if alpha.max() < VISIBLE_ALPHA:
        raise InputError(f"{path} is fully transparent: there is no object to be seen")
    if alpha.min() >= 255 - VISIBLE_ALPHA:
        picture.putalpha(cut_out_plain_background(picture.convert("RGB"), path))
    return picture


def frame_object(cut_out: Image.Image, *, size: int, object_size: float) -> Tensor:
    """Put the visible part of an RGBA picture on a white square, centred, its longer side `object_size`.

    Returns:
        (3, size, size) float32 in [0, 1].

    Raises:
        InputError: the object is smaller than 8 pixels.
    """
    visible = cut_out.getchannel("A").point([255 * (a >= VISIBLE_ALPHA) for a in range(256)])
    box = visible.getbbox()
    longer = max(box[2] - box[0], box[3] - box[1]) if box else 0
    if box is None or longer < MIN_OBJECT_PX:
        raise InputError(
            f"the object is only {longer} pixels large, at least {MIN_OBJECT_PX} needed: give a larger one"
        )
    side = max(longer, round(longer / object_size))
    white = Image.new("RGBA", (side, side), (255, 255, 255, 255))
    corner = ((side - (box[2] - box[0])) // 2, (side - (box[3] - box[1])) // 2)
    white.alpha_composite(cut_out.crop(box), corner)
    framed = white.convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(framed, dtype=np.float32) / 255).permute(2, 0, 1).contiguous()


def _check_file(path: Path) -> None:
    try:
        if not path.exists():
            raise InputError(f"there is no file {path}")
        if path.is_dir():
            raise InputError(f"{path} is a folder: give a picture file")
        if not path.is_file():
            raise InputError(f"{path} is no regular file: give a picture file")
        if path.suffix.lower() in LATER:
            raise InputError(
                f"{path}: videos and 3D models can't start a run yet: give a picture (PNG, JPEG, WebP …)"
            )
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"{path} is empty")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from error


def _decode(path: Path) -> Image.Image:
    """Decode to RGBA; the size is checked before any pixel is decoded."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.init()
    try:
        Image.MAX_IMAGE_PIXELS = None  # our own check is stricter, and says what to do
        picture = Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
    except Image.UnidentifiedImageError as error:
        raise InputError(f"{path} is no picture that can be read: give a PNG, JPEG or WebP file") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    with picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise InputError(
                f"{path} is too large: {width} x {height} pixels, at most {MAX_PIXELS / 1e6:.0f} megapixels; "
                "scale it down first"
            )
        if min(width, height) < MIN_SIDE_PX:
            raise InputError(
                f"{path} is too small: {width} x {height} pixels, at least {MIN_SIDE_PX} x {MIN_SIDE_PX}"
            )
        picture.draft("RGB", (WORKING_SIDE_PX, WORKING_SIDE_PX))
        return _shrink(ImageOps.exif_transpose(_to_8_bit(picture)))


def _to_8_bit(picture: Image.Image) -> Image.Image:
    """Give any mode as RGB or RGBA with 8 bits."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, dtype=np.float32)
        top = 65535.0 if picture.mode.startswith("I") and values.max() > 255 else 255.0
        if picture.mode == "F" and values.max() <= 1:
            top = 1.0
        grey = np.clip(np.nan_to_num(values) / top * 255, 0, 255).round().astype(np.uint8)
        converted = Image.fromarray(grey).convert("RGB")
        converted.info = picture.info
        return converted
    has_alpha = "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info
    return picture.convert("RGBA" if has_alpha else "RGB")


def _shrink(picture: Image.Image) -> Image.Image:
    """Bring the longer side to at most 2048 pixels; then RGBA."""
    factor = -(-max(picture.size) // WORKING_SIDE_PX)
    if factor > 1:
        # Averaging needs premultiplied colours, or hidden ones bleed into the edge.
        if picture.mode == "RGBA":
            return picture.convert("RGBa").reduce(factor).convert("RGBA")
        picture = picture.reduce(factor)
    return picture.convert("RGBA")
