import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from diffusion2.config import GenerateSettings
from diffusion2.errors import InputError
from diffusion2.inputs import read_conditions
from diffusion2.inputs.cutting.cut_out import cut_out
from diffusion2.inputs.picture import read_rgba
from diffusion2.runs.source import InputSettings, Source

SHARED = Path(__file__).parents[3] / "shared" / "inputs" / "images"


def read(path, size=64, object_size=0.9):
    """The framed picture of a file, on white."""
    plain = InputSettings(background="plain")
    return read_conditions(
        Source(path, settings=plain), GenerateSettings(size=size, object_size=object_size)
    ).picture[:3]


def blob(mode="RGBA", size=(100, 80), box=(20, 30, 60, 50), colour=(200, 30, 30), ground=(0, 0, 0, 0)):
    picture = Image.new("RGBA", size, ground)
    ImageDraw.Draw(picture).rectangle(box, fill=(*colour, 255))
    return picture.convert(mode)


def save(picture, path, **options):
    picture.save(path, **options)
    return path


def object_box(picture):
    """(left, top, right, bottom) of what is not white, in pixels, of a (3, H, W) picture."""
    rows, columns = torch.nonzero((picture < 0.9).any(0), as_tuple=True)
    return columns.min().item(), rows.min().item(), columns.max().item() + 1, rows.max().item() + 1


def test_the_object_is_centred_and_fills_its_share_of_the_frame(tmp_path):
    picture = read(save(blob(), tmp_path / "a.png"), 100, 0.8)
    assert picture.shape == (3, 100, 100)
    left, top, right, bottom = object_box(picture)
    # a pixel of rounding on each side
    assert abs((right - left) - 80) <= 2
    assert abs((left + right) / 2 - 50) <= 1.5
    assert abs((top + bottom) / 2 - 50) <= 1.5
    torch.testing.assert_close(picture[:, 50, 50], torch.tensor([200, 30, 30]) / 255, atol=0.01, rtol=0)


def test_the_frame_is_white_and_values_are_8_bit(tmp_path):
    picture = read(save(blob(), tmp_path / "a.png"), 64)
    assert torch.equal(picture[:, 0, 0], torch.ones(3))
    torch.testing.assert_close(picture * 255, (picture * 255).round(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("ground", [(255, 255, 255, 255), (0, 0, 0, 255), (40, 180, 90, 255)])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_plain_background_is_recognised(tmp_path, ground, suffix):
    path = save(blob("RGB", size=(400, 300), box=(50, 60, 350, 200), ground=ground), tmp_path / f"a.{suffix}")
    picture = read(path, 100, 0.9)
    assert torch.equal(picture[:, 0, 0], torch.ones(3))
    left, _, right, _ = object_box(picture)
    assert abs((right - left) - 90) <= 3


def test_a_white_belly_on_white_stays_part_of_the_object(tmp_path):
    picture = Image.new("RGB", (100, 100), "white")
    ImageDraw.Draw(picture).ellipse((20, 20, 80, 80), outline=(10, 10, 10), width=4, fill="white")
    path = save(picture, tmp_path / "a.png")
    alpha = np.asarray(cut_out([read_rgba(path)], InputSettings(), path)[0].getchannel("A"))
    assert alpha[50, 50] == 255
    assert alpha[2, 2] == 0


def test_a_busy_background_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)
    with pytest.raises(InputError, match="not plain"):
        read(save(Image.fromarray(noise), tmp_path / "a.png"))


def test_orientation_is_applied(tmp_path):
    picture = blob("RGB", size=(100, 80), box=(10, 30, 90, 50), ground=(255, 255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    path = save(picture, tmp_path / "a.jpg", exif=exif)
    left, top, right, bottom = object_box(read(path, 100))
    assert bottom - top > 2 * (right - left)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_modes_with_alpha_are_cut_out_by_it(tmp_path, mode):
    picture = blob() if mode == "RGBA" else blob().convert("LA").convert(mode)
    path = save(picture, tmp_path / ("a.tif" if mode == "PA" else "a.png"))
    left, _, right, _ = object_box(read(path, 100))
    assert abs((right - left) - 90) <= 2


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "1", "I;16"])
def test_modes_without_alpha_are_read(tmp_path, mode):
    picture = blob("RGB", colour=(0, 0, 0), ground=(255, 255, 255, 255))
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L"), dtype=np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    path = save(picture, tmp_path / ("a.tif" if mode == "CMYK" else "a.png"))
    left, _, right, _ = object_box(read(path, 100))
    assert abs((right - left) - 90) <= 2


def test_a_palette_with_a_transparent_colour_is_cut_out(tmp_path):
    path = save(blob().convert("P"), tmp_path / "a.gif", transparency=blob().convert("P").getpixel((0, 0)))
    assert torch.equal(read(path, 64)[:, 0, 0], torch.ones(3))


def test_a_heic_picture_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(100))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match=r"pip install 'diffusion2\[heic\]' to read it, or export it"):
        read(tmp_path / "a.heic")


def write_png_header(path, width, height):
    """Write a valid PNG of that size with almost no data."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 10))
        + chunk(b"IEND", b"")
    )
    return path


def _truncated(folder):
    path = save(blob(size=(500, 500), box=(3, 3, 400, 400)), folder / "a.png")
    path.write_bytes(path.read_bytes()[:400])
    return path


def _written(name, content):
    def write(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return write


BAD = {
    "missing": (lambda f: f / "nothing.png", "no file"),
    "folder": (lambda f: f, "folder"),
    "empty": (_written("a.png", b""), "empty"),
    "text": (_written("a.png", b"hello, this is not a picture\n" * 20), "no picture"),
    "truncated": (_truncated, "damaged"),
    "postscript": (_written("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n"), "no picture"),
    "video": (_written("a.mp4", b"\0" * 50), "as a video"),
    "model": (_written("a.glb", b"glTF" + b"\0" * 50), "glTF"),
    "device": (lambda f: Path("/dev/null"), "no regular file"),
    "name with a NUL": (lambda f: f / "a\0b.png", "a"),
    "very long name": (lambda f: f / ("a" * 5000), "can't be read"),
    "one pixel": (lambda f: save(blob(size=(1, 1)), f / "a.png"), "too small"),
    "one row": (lambda f: save(blob(size=(500, 1)), f / "a.png"), "too small"),
    "transparent": (lambda f: save(Image.new("RGBA", (64, 64)), f / "a.png"), "fully transparent"),
    "one colour": (lambda f: save(Image.new("RGB", (64, 64), (9, 99, 9)), f / "a.png"), "no object"),
    "tiny object": (lambda f: save(blob(box=(3, 3, 5, 5)), f / "a.png"), "pixels large"),
    "20,000 x 20,000": (lambda f: write_png_header(f / "a.png", 20000, 20000), "too large"),
    "huge header": (lambda f: write_png_header(f / "a.png", 2**31 - 1, 2**31 - 1), "too large"),
    "10,000 x 8,000": (lambda f: write_png_header(f / "a.png", 10000, 8000), "too large"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_gives_one_clear_error(tmp_path, name):
    make, message = BAD[name]
    path = make(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        read(path, 64)
    assert "\n" not in str(caught.value)


@settings(max_examples=60)
@given(st.data())
def test_damaged_pictures_never_give_another_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "a.png"
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]))
    blob("RGB", ground=(255, 255, 255, 255)).save(path, format=kind)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    try:
        picture = read(path, 32)
    except InputError:
        return
    assert picture.shape == (3, 32, 32)


def test_large_pictures_are_shrunk_before_work(tmp_path):
    path = save(blob(size=(5000, 4000), box=(500, 500, 4500, 3500)), tmp_path / "a.png", compress_level=1)
    left, _, right, _ = object_box(read(path, 100))
    assert abs((right - left) - 90) <= 2


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the pictures in ../shared/inputs/images")
def test_real_cut_outs_are_read():
    for path in sorted(SHARED.glob("*.png")):
        picture = read(path, 128)
        left, top, right, bottom = object_box(picture)
        # edges of real cut-outs fade, so a few pixels of the 115 may be nearly white
        assert 100 <= max(right - left, bottom - top) <= 117, path
