"""Drawn pictures whose object is known to a fraction of a pixel: objects, grounds, light, faults of files."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

FINE = 4
"""Pixels a side that are averaged into one, so that edges are as soft as a renderer's."""
SIZE = (240, 180)
ORANGE, RED, BLUE, BROWN = (225, 145, 40), (205, 40, 40), (45, 75, 205), (120, 75, 30)
GREEN_SCREEN = (20, 200, 60)


class Layer:
    """An object on nothing, drawn with coordinates of the picture.

    Attributes:
        size: (width, height).
        picture: RGBA, so many times finer.
    """

    def __init__(self, size=SIZE):
        self.size = size
        self.picture = Image.new("RGBA", (size[0] * FINE, size[1] * FINE))
        self.draw = ImageDraw.Draw(self.picture)

    def __getattr__(self, shape):
        """Draw a shape of ImageDraw: box or points, and what else it takes."""
        if shape.startswith("_"):
            raise AttributeError(shape)

        def drawn(points, **options):
            if "width" in options:
                options["width"] = round(options["width"] * FINE)
            getattr(self.draw, shape)([round(p * FINE) for p in points], **options)
            return self

        return drawn

    def rgba(self):
        """(H, W, 4) float: colours up to 255 of what is there, and alpha up to 1."""
        fine = np.asarray(self.picture, np.float64)
        alpha = fine[..., 3:] / 255
        shape = (self.size[1], FINE, self.size[0], FINE, -1)
        amount = alpha.reshape(shape).mean((1, 3))
        colours = (fine[..., :3] * alpha).reshape(shape).mean((1, 3)) / np.maximum(amount, 1e-9)
        return np.concatenate([colours, amount], -1)


def creature(size=SIZE, x=0, y=0, scale=1.0, body=ORANGE, head=RED, tail=BLUE, legs=BROWN):
    """An animal of several colours with thin legs, whose middle is the picture's."""
    layer = Layer(size)
    middle = size[0] / 2 + x, size[1] / 2 + y

    def at(*points):
        return [middle[i % 2] + p * scale for i, p in enumerate(points)]

    for left in (-35, -15, 10, 25):
        layer.rectangle(at(left, 0, left + 7, 45), fill=legs)
    layer.ellipse(at(-45, -25, 40, 25), fill=body)
    layer.ellipse(at(25, -45, 60, -5), fill=head)
    layer.ellipse(at(46, -34, 52, -27), fill=(15, 15, 15))
    layer.polygon(at(-62, -30, -42, -5, -56, 0), fill=tail)
    return layer


def ring(size=SIZE, colour=(200, 150, 40), radius=60, width=25):
    layer = Layer(size)
    x, y = size[0] / 2, size[1] / 2
    return layer.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=width)


def plain(colour=(255, 255, 255), size=SIZE):
    return np.broadcast_to(np.array(colour, np.float64), (size[1], size[0], 3))


def coordinates(size=SIZE):
    """x and y from -1 to 1, (H, W)."""
    rows, columns = np.mgrid[: size[1], : size[0]]
    return columns * 2 / (size[0] - 1) - 1, rows * 2 / (size[1] - 1) - 1


def gradient(top=(250, 250, 250), bottom=(170, 170, 175), size=SIZE):
    share = (coordinates(size)[1][..., None] + 1) / 2
    return np.array(top) * (1 - share) + np.array(bottom) * share


def vignette(colour=(200, 205, 210), depth=0.35, size=SIZE):
    x, y = coordinates(size)
    return np.array(colour) * (1 - depth * ((x**2 + y**2) / 2)[..., None])


def sweep(wall=(205, 205, 208), floor=(165, 165, 168), size=SIZE):
    """A studio's paper that curves from the wall to the floor."""
    share = 1 / (1 + np.exp(-(coordinates(size)[1] - 0.35) * 9))[..., None]
    return np.array(wall) * (1 - share) + np.array(floor) * share


def busy(size=SIZE, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC), np.float64)


def shaded(ground, layer, depth=0.45, blur=8, shift=(12, 4), flat=0.35):
    """A ground with the object's soft shadow: its silhouette pressed flat at its feet and blurred."""
    alpha = layer.rgba()[..., 3]
    rows = np.nonzero(alpha.max(1) > 0.5)[0]
    low = rows[-1]
    height, width = alpha.shape
    y, x = np.mgrid[:height, :width]
    source_y = low - (low + shift[1] - y) / flat
    inside = (source_y >= 0) & (source_y < height) & (x - shift[0] >= 0) & (x - shift[0] < width)
    flattened = np.where(
        inside, alpha[source_y.clip(0, height - 1).astype(int), (x - shift[0]).clip(0, width - 1)], 0
    )
    soft = Image.fromarray((flattened * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(blur))
    light = 1 - depth * np.asarray(soft, np.float64) / 255
    return ground * light[..., None] ** (1 / 2.2)


def noisy(pixels, deviation, seed=1):
    return pixels + np.random.default_rng(seed).normal(0, deviation, pixels.shape)


def composed(layer, ground):
    """RGB picture of an object before a ground, and its alpha (H, W) up to 1."""
    rgba = layer.rgba()
    alpha = rgba[..., 3:]
    return as_picture(rgba[..., :3] * alpha + ground * (1 - alpha)), alpha[..., 0]


def as_picture(pixels):
    return Image.fromarray(np.asarray(pixels).round().clip(0, 255).astype(np.uint8))


def jpeg(picture, quality=60):
    """The picture with what JPEG does to it."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def with_alpha(layer, colours=None):
    """The object as an RGBA picture."""
    rgba = layer.rgba()
    shown = rgba[..., :3] if colours is None else colours
    return as_picture(np.concatenate([shown, rgba[..., 3:] * 255], -1))


def overlap(alpha, truth):
    """Intersection over union of two silhouettes, (H, W)."""
    found, wanted = np.asarray(alpha) >= 128, truth >= 0.5
    return (found & wanted).sum() / max((found | wanted).sum(), 1)
