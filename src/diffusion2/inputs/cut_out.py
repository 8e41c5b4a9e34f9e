"""Separating an object from its background: by its alpha, by a plain background, by a network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from diffusion2.config import InputSettings
from diffusion2.errors import BackendUnavailable, InputError, WeightsError
from diffusion2.events import Report, Warned, ignore
from diffusion2.inputs.background import plain_background_mask
from diffusion2.inputs.framing import VISIBLE_ALPHA
from diffusion2.inputs.matting import INSTALL, find_matting_network, object_mask, without_fringe


def cut_out(
    pictures: Sequence[Image.Image], settings: InputSettings, name: Path | str, report: Report = ignore
) -> list[Image.Image]:
    """Cut the object out of the pictures of one sequence, all in the same way.

    Args:
        pictures: RGBA. Where any of them has something transparent, alpha says what the object is.
        settings: how those without alpha are treated.
        name: what they are, for messages.
        report: hears when a network had to decide.

    Returns:
        RGBA pictures whose alpha is the object; some may show none.

    Raises:
        InputError: no picture shows an object, or the background is not plain and no network is here.
        WeightsError, BackendUnavailable: the network that the settings ask for is missing.
    """
    alphas = [np.asarray(picture.getchannel("A")) for picture in pictures]
    if max(alpha.max() for alpha in alphas) < VISIBLE_ALPHA:
        raise InputError(f"{name} is fully transparent: there is no object to be seen")
    if min(alpha.min() for alpha in alphas) < 255 - VISIBLE_ALPHA:
        return list(pictures)
    found = _without_background([picture.convert("RGB") for picture in pictures], settings, name, report)
    if max(np.asarray(picture.getchannel("A")).max() for picture in found) < VISIBLE_ALPHA:
        raise InputError(f"{name} shows no object: it has one plain colour, and no alpha channel")
    return found


def _without_background(
    pictures: Sequence[Image.Image], settings: InputSettings, name: Path | str, report: Report
) -> list[Image.Image]:
    if settings.background != "network":
        masks = [plain_background_mask(picture) for picture in pictures]
        plain = [mask for mask in masks if mask is not None]
        if len(plain) == len(pictures):
            return [_with_alpha(picture, mask) for picture, mask in zip(pictures, plain, strict=True)]
        if settings.background == "plain":
            raise InputError(f"{name} has no alpha channel and its background is not plain")
    try:
        network = find_matting_network(settings.matting_model)
        found = [without_fringe(picture, object_mask(picture, network)) for picture in pictures]
    except (WeightsError, BackendUnavailable) as error:
        if settings.background == "network" or settings.matting_model:
            raise
        raise InputError(
            f"{name} has no alpha channel and its background is not plain: cut the object out first and give "
            f"a PNG with a transparent background, or install background removal ({INSTALL})"
        ) from error
    report(Warned(f"{name} has no plain background: the network {network.name} found the object in it"))
    return found


def _with_alpha(picture: Image.Image, mask: Image.Image) -> Image.Image:
    picture.putalpha(mask)
    return picture
