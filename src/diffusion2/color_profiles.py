"""Pictures with a colour profile of their own (Adobe RGB, Display P3, inks) as sRGB, by LittleCMS."""

import io
from functools import cache

from PIL import Image, ImageCms

SPACES = {"RGB ": {"RGB", "RGBA"}, "GRAY": {"L", "LA"}, "CMYK": {"CMYK"}}
"""Which modes a profile of a space can describe."""
HDR = {16: "PQ", 18: "HLG"}
"""Transfers of ITU-T H.273."""
PROFILED = {"CMYK", "L", "LA", "LAB"}
"""Modes whose profile must be applied before they become RGB."""


def hdr_transfer(picture: Image.Image, begin: bytes) -> str | None:
    """Tell whether a picture's values are those of HDR: "PQ" or "HLG", else None.

    Args:
        picture: opened.
        begin: the file's first bytes, in which PNG has a chunk cICP, and AVIF boxes colr of type nclx: one
            for each of its pictures, as SDR may have a map to HDR beside it.
    """
    if picture.format == "HEIF":
        found = [picture.info.get("nclx_profile", {}).get("transfer_characteristics")]
    elif picture.format == "AVIF":
        found = [int.from_bytes(part[2:4]) for part in begin.split(b"colrnclx")[1:]]
    elif picture.format == "PNG":
        found = [part[1] for part in begin.partition(b"IDAT")[0].split(b"cICP")[1:] if len(part) > 1]
    else:
        found = []
    kinds = {HDR.get(transfer) for transfer in found}
    return None if not kinds or None in kinds else "/".join(sorted(kind for kind in kinds if kind))


def to_srgb(picture: Image.Image) -> Image.Image:
    """Bring an 8-bit picture's colours to sRGB by the ICC profile that comes with it.

    A picture stays as it is without a profile, or with one that is damaged or of another kind of picture.
    """
    if picture.mode == "LAB":  # has no profile: it is L*a*b* itself
        return (
            ImageCms.profileToProfile(picture, ImageCms.createProfile("LAB"), _srgb(), outputMode="RGB")
            or picture
        )
    data = picture.info.get("icc_profile")
    if not data:
        return picture
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        described = ImageCms.getProfileDescription(profile)
        space = data[16:20].decode("latin-1")
        fits = picture.mode in SPACES.get(space, ())
        if not fits or "srgb" in described.lower():
            return picture
        if picture.mode == "LA":
            grey, alpha = picture.split()
            converted = ImageCms.profileToProfile(grey, profile, _srgb(), outputMode="RGB")
            if converted is not None:
                converted.putalpha(alpha)
        else:
            mode = "RGBA" if picture.mode == "RGBA" else "RGB"
            converted = ImageCms.profileToProfile(picture, profile, _srgb(), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture
    if converted is None:
        return picture
    converted.info = {name: value for name, value in picture.info.items() if name != "icc_profile"}
    return converted


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
