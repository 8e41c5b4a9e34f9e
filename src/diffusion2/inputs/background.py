"""An object on a plain background, cut out without any network."""

import numpy as np
from PIL import Image, ImageFilter

from diffusion2.kernels.regions import regions_at_border

TOLERANCE = 20
"""How far a background pixel may be from the background's colour, per channel, of 255."""
PLAIN_BORDER = 0.8
"""Share of the picture's border that must have the background's colour; the object may touch it."""
WHITE = 235
"""A background whose channels all reach this leaves no coloured edge on white."""
MIN_OBJECT = 0.002
"""Share of the picture that must be object."""


def plain_background_mask(picture: Image.Image) -> Image.Image | None:
    """Find the object in an RGB picture with a plain background.

    Background is what has the border's colour and is connected to the border, so that a white belly
    on white stays part of the object where its outline is closed.

    Returns:
        The object's mask, mode L, its edge softened by a pixel; black where there is no object. None if the
        background is not plain.
    """
    pixels = np.asarray(picture)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.int16)
    colour = np.median(border, axis=0).astype(np.int16)
    if np.mean(np.abs(border - colour).max(axis=-1) <= TOLERANCE) < PLAIN_BORDER:
        return None
    near = np.abs(pixels - colour).max(axis=-1) <= TOLERANCE
    mask = ~regions_at_border(near)
    if mask.mean() < MIN_OBJECT:
        mask[:] = False
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    if colour.min() < WHITE:
        image = image.filter(ImageFilter.MinFilter(3))  # the edge has taken on the background's colour
    softened = image.filter(ImageFilter.BoxBlur(1))
    return Image.fromarray(np.minimum(np.asarray(image), np.asarray(softened)))
