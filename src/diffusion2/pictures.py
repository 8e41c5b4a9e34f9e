"""Pictures between files, bytes and tensors: the one place where any of them becomes another.

A picture in memory is float in [0, 1]. As bytes it is sRGB in steps of 1/255 with straight (not
premultiplied) alpha, upright, its colour profile applied, and 16 bits are brought to 8: what a viewer shows.
Tensors have their channels first, (..., C, H, W), arrays of bytes last, (..., H, W, C).
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, TiffImagePlugin, features
from torch import Tensor

from diffusion2.atomic_files import atomic_path
from diffusion2.color_profiles import PROFILED, hdr_transfer, to_srgb
from diffusion2.errors import InputError, in_one_line

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM")
HEIC, AVIF = {b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2"}, {b"avif", b"avis"}
"""What files of these pictures call themselves; AVIF's may be mif1, too."""
HEADER_BYTES = 1 << 16
"""In which a file says what it is."""
HEIC_INSTALL = "pip install 'diffusion2[heic]'"
MAX_PIXELS = 8192 * 8192
ORIENTATION, TIFF_WIDTH, TIFF_HEIGHT, TIFF_BITS, TIFF_PHOTOMETRIC = 0x0112, 256, 257, 258, 262
TIFF_PURPOSE, TIFF_PLANES, TIFF_EXTRA, TIFF_NUMBERS, DNG_VERSION = 254, 284, 338, 339, 50706
"""Tags of TIFF: what a picture in it is for, whether channels lie apart, what those beyond the colours are,
whether numbers have signs; and what only raw photos have."""
REDUCED, APART, ALPHA, SIGNED, WHITE_IS_ZERO = 1, 2, {1, 2}, 2, 0
TIFF_BEGINS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class NoPicture(InputError):
    """A file that has no picture format; it may be something else."""


def to_8_bit(images: Tensor) -> Tensor:
    """Round values in [0, 1] to those that an 8-bit file can hold, still as float32.

    Stages pass such images on, so that a stage that reads the files continues identically: to the last bit,
    so their layout in memory, on which the order of sums depends, is that of images read from files, too.
    """
    return (torch.round(images.float().clamp(0, 1) * 255) / 255).contiguous()


def to_bytes(values: Tensor) -> Tensor:
    """Turn floats in [0, 1], or beyond and clamped to it, into uint8 of the same shape."""
    return (values.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)


def to_pixels(images: Tensor) -> np.ndarray:
    """Turn images (..., C, H, W) in [0, 1] into bytes (..., H, W, C)."""
    return to_bytes(images).movedim(-3, -1).contiguous().cpu().numpy()


def from_pixels(pixels: np.ndarray) -> Tensor:
    """Turn bytes (..., H, W, C) into float32 images (..., C, H, W) in [0, 1]."""
    return (torch.from_numpy(np.array(pixels)).float() / 255).movedim(-1, -3).contiguous()


def on_white(images: Tensor) -> tuple[Tensor, Tensor]:
    """Composite images (..., 4, H, W) with straight alpha on white: they, and alpha (..., 1, H, W)."""
    rgb, alpha = images[..., :3, :, :], images[..., 3:, :, :]
    return rgb * alpha + (1 - alpha), alpha


def with_alpha(images: Tensor, alphas: Tensor | None) -> Tensor:
    """Join images (..., 3, H, W) on white and, where it is known, alpha (..., 1, H, W)."""
    return images if alphas is None else torch.cat([images, alphas], dim=-3)


def split_alpha(images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Part what `with_alpha` joined."""
    return images[..., :3, :, :], images[..., 3:, :, :] if images.shape[-3] == 4 else None


def straight(images: Tensor) -> Tensor:
    """Turn images (..., 4, H, W), RGB on white and alpha, into straight alpha; black where nothing is."""
    rgb, alpha = images[..., :3, :, :], images[..., 3:, :, :].clamp(0, 1)
    rest = rgb - (1 - alpha)
    colours = (rest / alpha.clamp_min(1 / 255)).clamp(0, 1)
    return torch.cat([colours * (alpha > 0), alpha], -3)


def as_written(images: Tensor) -> Tensor:
    """Round images (..., P, H, W) on white, P = 4 with alpha, else 3, to what a file of them is read as."""
    rgb, alpha = split_alpha(images.detach())
    if alpha is None:
        return to_8_bit(rgb)
    return with_alpha(*on_white(to_8_bit(straight(with_alpha(rgb, to_8_bit(alpha)))))).contiguous()


def pixels_on_white(rgba: np.ndarray) -> np.ndarray:
    """Composite bytes (..., 4) with straight alpha on white: bytes (..., 3)."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def write_picture(path: Path, image: Tensor) -> None:
    """Write a picture on white in [0, 1] as PNG: (3, H, W), or (4, H, W) with alpha, as straight RGBA."""
    if len(image) == 4:
        image = image.detach().float().clamp(0, 1)
        image = straight(with_alpha(image[:3], to_8_bit(image[3:])))
    pixels = to_pixels(image)
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, compress_level=4)


def read_picture(path: Path) -> Image.Image:
    """Read a picture file of any usual format and mode: upright, 8 bits, RGBA where it has alpha, else RGB.

    Only the first frame of an animation counts.

    Raises:
        InputError: the file can't be read, is damaged or too large.
    """
    with open_picture(path) as picture:
        return decode(picture, path)


def read_on_white(path: Path) -> tuple[Tensor, Tensor | None]:
    """Read a picture file: (3, H, W) on white and, where the file has it, alpha (1, H, W), both in [0, 1].

    Raises:
        InputError: as `read_picture`.
    """
    images = from_pixels(np.asarray(read_picture(path)))
    if len(images) == 3:
        return images, None
    image, alpha = on_white(images)
    return image.contiguous(), alpha.contiguous()


def open_picture(path: Path) -> Image.Image:
    """Open a picture file without decoding it; its size has been checked.

    Raises:
        NoPicture: it has no picture format.
        InputError: it can't be read, is damaged or too large.
    """
    # anything may look like a TGA
    formats = [*FORMATS, *(["TGA"] if path.suffix.lower() == ".tga" else [])]
    begin = _begin_of(path)
    if (heif := _heif_kind(begin)) == "HEIC":
        _register_heic(path)
        formats.append("HEIF")
    try:
        # Pillow's own reader of TIFF without compression gets turned ones and 16-bit planes wrong, the one
        # that it has from libtiff floats and 32-bit numbers in the order of other computers
        picture = _open(path, formats, libtiff=True)
        if picture.format == "TIFF" and picture.mode in ("F", "I"):
            picture.close()
            picture = _open(path, formats, libtiff=False)
    except Image.UnidentifiedImageError as error:
        if heif:  # as a video, it would be one of the tiles that the picture is made of
            raise InputError(
                f"{path} is a picture in {heif} that can't be read: it may be damaged; give a PNG or JPEG"
            ) from error
        if begin.startswith(TIFF_BEGINS):
            raise InputError(
                f"{path} is a TIFF with a layout or kind of numbers that can't be read: save it with 8 or 16 "
                "bits a channel, or as PNG"
            ) from error
        reason = "it has no picture format; give a PNG, JPEG or WebP file"
        raise NoPicture(f"{path} can't be read as a picture: {reason}") from error
    except Exception as error:  # decoders raise anything on broken data
        raise _damaged(path, error) from error
    try:
        check_not_too_large(path, *picture.size)
        if picture.format == "TIFF":
            _check_tiff(picture, path)
        if hdr := hdr_transfer(picture, begin):
            raise InputError(
                f"{path} is an HDR picture ({hdr}), whose colours would be wrong: save it as SDR first"
            )
    except InputError:
        picture.close()
        raise
    return picture


def _open(path: Path, formats: list[str], *, libtiff: bool) -> Image.Image:
    limit, own_tiff = Image.MAX_IMAGE_PIXELS, TiffImagePlugin.READ_LIBTIFF
    Image.init()
    try:
        Image.MAX_IMAGE_PIXELS = None  # our own check is stricter, and says what to do
        TiffImagePlugin.READ_LIBTIFF = libtiff and features.check("libtiff")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(path, formats=[name for name in formats if name in Image.OPEN])
    finally:
        Image.MAX_IMAGE_PIXELS, TiffImagePlugin.READ_LIBTIFF = limit, own_tiff


def _check_tiff(picture: Image.Image, path: Path) -> None:
    """Refuse a TIFF of which Pillow would read something else than what it shows.

    Raises:
        InputError: it is a raw photo, or its alpha or its numbers would be lost.
    """
    tags = picture.tag_v2  # pyright: ignore[reportAttributeAccessIssue]
    if DNG_VERSION in tags or tags.get(TIFF_PURPOSE, 0) & REDUCED:
        raise InputError(
            f"{path} is a raw photo, or begins with a small preview, and what is behind it can't be read: "
            "develop it, and save it as PNG or JPEG"
        )
    read = picture.has_transparency_data and not (picture.mode == "LA" and tags.get(TIFF_PLANES) == APART)
    if ALPHA & set(tags.get(TIFF_EXTRA, ())) and not read:
        raise InputError(f"{path} is a TIFF whose alpha can't be read: save it as PNG")
    tiles: Any = getattr(picture, "tile", None)
    swapped = tags.prefix[:2] == b"MM" and tiles and tiles[0][0] == "libtiff"
    if swapped and picture.mode in ("F", "I"):
        raise InputError(
            f"{path} is a TIFF of compressed floats or 32-bit numbers in big-endian order, which can't be "
            "read: save it uncompressed, or as PNG"
        )


def upright_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height of a picture that is opened but not decoded yet, once its orientation is applied."""
    try:
        if picture.format == "TIFF":  # versions of Pillow differ in when they turn it
            tags = picture.tag_v2  # pyright: ignore[reportAttributeAccessIssue]
            (width, height), orientation = (tags[TIFF_WIDTH], tags[TIFF_HEIGHT]), tags.get(ORIENTATION, 1)
        else:
            (width, height), orientation = picture.size, picture.getexif().get(ORIENTATION, 1)
    except Exception:  # decoders raise anything on broken data
        return picture.size
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def decode(picture: Image.Image, path: Path, side: int | None = None, *, upright: bool = True) -> Image.Image:
    """Decode an opened picture, or the frame of an animation that it stands at; see `read_picture`.

    Args:
        picture: from `open_picture`.
        path: the file, for messages.
        side: pixels a side that suffice; a larger picture is shrunk by a whole number, to no more.
        upright: apply the orientation in its metadata; False: as it is stored.

    Raises:
        InputError: its data are damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if side is not None:
                picture.draft("RGB", (side, side))
            plain = picture if picture.mode in PROFILED else as_rgb(picture)
            decoded = as_rgb(to_srgb(plain))
            if upright:
                decoded = ImageOps.exif_transpose(decoded)
            return decoded if side is None else shrink(decoded, side)
    except Exception as error:  # decoders raise anything on broken data
        raise _damaged(path, error) from error


def as_rgb(picture: Image.Image) -> Image.Image:
    """Turn a picture of any mode into RGB, or RGBA where it has alpha, with 8 bits.

    Sixteen bits of grey are brightness in 65,535 steps; Pillow's own conversion would cut off all above 255.
    """
    if picture.mode.startswith("I") or picture.mode == "F":
        return _deep_as_rgb(picture)
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def shrink(picture: Image.Image, side: int) -> Image.Image:
    """Average squares of pixels so that the longer side has at most so many; RGB or RGBA."""
    factor = -(-max(picture.size) // side)
    return average(picture, factor) if factor > 1 else picture


def average(picture: Image.Image, factor: int) -> Image.Image:
    """Average pixels in squares of so many a side; RGB or RGBA."""
    if picture.mode != "RGBA":
        return picture.reduce(factor)
    # Averaging needs premultiplied colours, or hidden ones bleed into the edge.
    return picture.convert("RGBa").reduce(factor).convert("RGBA")


def check_not_too_large(path: Path, width: int, height: int) -> None:
    """Refuse pictures or frames that are too large to work with.

    Raises:
        InputError: more pixels than `MAX_PIXELS`.
    """
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path} is too large: {width} x {height} pixels, at most {MAX_PIXELS / 1e6:.0f} megapixels; "
            "scale it down first"
        )


def _deep_as_rgb(picture: Image.Image) -> Image.Image:
    """Turn grey of 16 or 32 bits, or floats, into RGB; RGBA where one value of it is transparent."""
    tags = getattr(picture, "tag_v2", {})
    stored = np.asarray(picture)
    signed = SIGNED in tags.get(TIFF_NUMBERS, ())
    if picture.format == "TIFF" and picture.mode == "I" and not signed:
        stored = stored.view(np.uint32)
    values = np.nan_to_num(stored.astype(np.float32))
    if picture.mode.startswith("I;") and tags.get(TIFF_PHOTOMETRIC) == WHITE_IS_ZERO:
        values = 65535 - values  # Pillow turns 8 bits round, but not 16
    highest = float(values.max())
    if picture.mode.startswith("I;"):
        top = 65535.0
    elif signed and tags[TIFF_BITS][0] == 16:
        top = 32767.0
    else:  # nothing says it: the least of what is usual
        usual = (
            (1.0, 255.0, 65535.0)
            if picture.mode == "F"
            else (255.0, 65535.0, float(np.iinfo(stored.dtype).max))
        )
        top = next((most for most in usual if highest <= most), usual[-1])
    grey = Image.fromarray(np.clip(values / top * 255, 0, 255).round().astype(np.uint8))
    grey.info = {name: value for name, value in picture.info.items() if name == "icc_profile"}
    hidden = picture.info.get("transparency")
    converted = to_srgb(grey).convert("RGB")
    if isinstance(hidden, int | float):
        converted.putalpha(Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)))
    converted.info = {
        name: value for name, value in picture.info.items() if name not in ("transparency", "icc_profile")
    }
    return converted


def _begin_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEADER_BYTES)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return b""


def _heif_kind(begin: bytes) -> str | None:
    """Tell a file of HEIC or AVIF pictures by its brands (ISO/IEC 23008-12, 10.2); None for any other."""
    if begin[4:8] != b"ftyp":
        return None
    brands = {begin[8:12], *(begin[i : i + 4] for i in range(16, min(int.from_bytes(begin[:4]), 64), 4))}
    return "AVIF" if brands & AVIF else "HEIC" if begin[8:12] in HEIC else None


def _register_heic(path: Path) -> None:
    """Let Pillow know the format; its name there is HEIF.

    Raises:
        InputError: the library that reads it is missing; FFmpeg would show one tile of the picture.
    """
    try:
        import pillow_heif
    except ImportError:
        raise InputError(
            f"{path} is a HEIC picture: {HEIC_INSTALL} to read it, or export it as JPEG or PNG first"
        ) from None
    pillow_heif.register_heif_opener(thumbnails=False)


def _damaged(path: Path, error: Exception) -> InputError:
    if isinstance(error, OSError) and error.strerror:  # of the file, not of what is in it
        return InputError(f"{path} can't be read: {in_one_line(error)}")
    return InputError(f"{path} can't be read as a picture: it may be damaged ({in_one_line(error)})")
