"""Damaged files of every format end in a result or in one clear line, whatever is damaged in them."""

import numpy as np
import pytest

from diffusion2.errors import Diffusion2Error
from diffusion2.inputs.captures import read_capture
from diffusion2.runs.source import InputSettings

from ..meshes.opengl import need_opengl
from . import corpus, model_twins, models, twins
from .capture_writers import balls_at, our_cameras, static_transforms, to_binary, write_colmap, write_frames
from .conftest import read, write_video

EACH = 3
"""Mutants of each kind of a file, and of each file."""


def interlaced(folder):
    return write_video(
        folder / "a.mkv", twins.walk(), codec="mpeg2video", pixels="yuv420p", flags="+ildct+ilme"
    )


FILES = {
    "png": twins.plain_picture,
    "jpeg with exif": corpus.saved("a.jpg", twins.creature, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
    "webp": corpus.saved("a.webp", twins.creature),
    "avif": corpus.saved("a.avif", twins.creature),
    "bmp": corpus.saved("a.bmp", twins.creature),
    "heic": twins.heic(64, 6),
    "tiff": twins.tiff(6, "RGBA"),
    "tiff of floats": twins.grey_tiff("f4", 1.0, 6, byteorder=">"),
    "gif": corpus.saved("a.gif", lambda: twins.walk()[0], save_all=True, append_images=twins.walk()[1:]),
    "animated png": twins.animated_png,
    "animated png with a palette": twins.palette_png,
    "mp4": corpus.video("a.mp4", twins.walk),
    "video in HDR": twins.hdr_video(twins.pq, 16),
    "two videos in one": twins.two_streams(),
    "interlaced video": interlaced,
}
MODELS = {
    "glb": model_twins.glb(),
    "glb of instances": model_twins.instanced,
    "gltf": corpus.gltf(),
    "obj": model_twins.PLAIN,
    "ply in words": model_twins.OPEN,
    "ply with alpha": model_twins.sides_with_alpha([255, 0, 255, 255, 9, 255]),
    "gaussians": corpus.splats(),
    "stl": lambda folder: models.write_stl(folder / "a.stl"),
}


def mutants(data, seed):
    """Cut off, zeroed, changed in its header and elsewhere, immense numbers, pieces left out, all noise."""
    rng = np.random.default_rng(seed)
    for share in (0.02, 0.3, 0.95):
        yield data[: int(len(data) * share)]
    for _ in range(EACH):
        at, length = int(rng.integers(0, len(data))), int(rng.integers(1, max(2, len(data) // 10)))
        early = int(rng.integers(0, min(len(data), 300)))
        noise = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
        yield data[:at] + bytes(length) + data[at + length :]
        yield data[:at] + noise + data[at + length :]
        yield data[:early] + noise[:1] + data[early + 1 :]
        yield data[:early] + b"\xff\xff\xff\xff" + data[early + 4 :]
        yield data[:at] + data[at + length :]
    yield data[:16] + rng.integers(0, 256, 2000, dtype=np.uint8).tobytes()


def refusal_of(use):
    try:
        use()
    except Diffusion2Error as error:
        return error
    return None


def damage(path, use):
    """Read every mutant of a file; what is refused must be so in one line."""
    data = path.read_bytes()
    for mutant in mutants(data, len(data)):
        path.write_bytes(mutant)
        refused = refusal_of(use)
        assert refused is None or refused.exit_code == 2
        assert "\n" not in str(refused)
        assert "Errno" not in str(refused)
    path.write_bytes(data)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_picture_or_video_gives_a_result_or_one_line(tmp_path, name):
    path = FILES[name](tmp_path)
    damage(path, lambda: read(path, InputSettings(background="plain")))


@pytest.mark.parametrize("name", MODELS)
def test_a_damaged_model_gives_a_result_or_one_line(tmp_path, name):
    need_opengl()
    path = MODELS[name](tmp_path)
    damage(path, lambda: read(path))


@pytest.mark.parametrize(
    "name", ["transforms.json", "cameras.txt", "images.txt", "cameras.bin", "images.bin"]
)
def test_damaged_cameras_give_a_result_or_one_line(tmp_path, name):
    if name == "transforms.json":
        static_transforms(tmp_path)
    else:
        write_frames(tmp_path, our_cameras(), [balls_at(0)])
        write_colmap(tmp_path, [(f"cam{k}_0.png", camera) for k, camera in enumerate(our_cameras())])
        if name.endswith(".bin"):
            to_binary(tmp_path)
    damage(tmp_path / name, lambda: read_capture(tmp_path))
