"""Small inputs of every kind, made when they are needed."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageDraw

from diffusion2.config import GenerateSettings
from diffusion2.inputs import read_conditions
from diffusion2.runs.source import InputSettings, Source

from ..meshes.opengl import need_opengl


def disc(x=32, y=32, radius=12, size=(64, 64), colour=(200, 40, 30), ground=(255, 255, 255)):
    """A disc on a ground; RGBA where the ground is None."""
    picture = Image.new("RGB" if ground else "RGBA", size, ground or (0, 0, 0, 0))
    ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return picture


def moving_disc(count, size=(64, 64), ground=(255, 255, 255)):
    """A disc that goes from left to right."""
    return [
        disc(x=round(14 + (size[0] - 28) * i / max(count - 1, 1)), radius=8, size=size, ground=ground)
        for i in range(count)
    ]


def write_video(path, pictures, fps=10, codec="libx264", pixels="yuv444p", stamps=None, **options):
    """Write pictures as a video file; `stamps` are the frames' times in ticks of 1/1000 s."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps), options={"crf": "1", **options})
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = pixels
        if stamps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(
                np.asarray(picture), format="rgba" if picture.mode == "RGBA" else "rgb24"
            )
            if stamps is not None:
                frame.pts, frame.time_base = stamps[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_frames(folder, pictures, name="{:03d}.png"):
    folder.mkdir(parents=True)
    for index, picture in enumerate(pictures):
        picture.save(folder / name.format(index))
    return folder


def read(source, how=None, channels=3, **settings):
    """Conditions of a path or a source, with notes; without alpha, if nothing else is said."""
    notes = []
    if not isinstance(source, Source):
        source = Source(source, settings=how or InputSettings(background="plain"))
    defaults = {"size": 32, "views": 4, "frames": 5}
    conditions = read_conditions(source, GenerateSettings(**{**defaults, **settings}), notes.append)
    return conditions.with_channels(channels), [getattr(note, "message", "") for note in notes]


def centre(picture):
    """Middle (x, y) of what is not white in a (3, H, W) picture, weighted by how little white it is."""
    weights = (1 - picture.min(0).values).clamp(min=0).numpy()
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return float((columns * weights).sum() / weights.sum()), float((rows * weights).sum() / weights.sum())


@pytest.fixture(scope="session")
def needs_renderer():
    """Skip where no 3D model can be drawn."""
    need_opengl()
