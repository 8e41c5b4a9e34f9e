"""Films as files: transparency and backgrounds, numbered pictures, depth as 16 bits and as OpenEXR."""

import resource
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffusion2 import ExportSettings, export
from diffusion2.errors import ExportError, InputError
from diffusion2.events import StageFinished, Warned
from diffusion2.exporters.filming import plan_film
from diffusion2.gaussians import Asset4D, render

SMALL = {"size": 48, "camera": "fixed", "fps": 8}


def notes(events: list) -> list[str]:
    return [event.message for event in events if isinstance(event, Warned)]


def read_exr(path: Path) -> dict[str, np.ndarray]:
    """Read an OpenEXR file of float32 scan lines by the layout that its specification gives.

    Chunks have 16 lines, each of one channel after the other, channels by name; zlib packs the differences of
    bytes, all even ones of which stand before all odd ones.
    """
    data = path.read_bytes()
    assert struct.unpack_from("<ii", data) == (20000630, 2), "magic number, version 2 without flags"
    position, attributes = 8, {}
    while data[position]:
        name, kind = (part.decode() for part in data[position:].split(b"\0", 2)[:2])
        position += len(name) + len(kind) + 2
        (size,) = struct.unpack_from("<i", data, position)
        attributes[name] = data[position + 4 : position + 4 + size]
        position += 4 + size
    assert attributes["compression"] == b"\3", "ZIP, 16 lines"
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    names, rest = [], attributes["channels"]
    while rest[0]:
        name, rest = rest.split(b"\0", 1)
        assert struct.unpack_from("<i", rest) == (2,), "float32"
        names.append(name.decode())
        rest = rest[16:]
    offsets = struct.unpack_from(f"<{-(-height // 16)}Q", data, position + 1)
    values = {name: np.zeros((height, width), np.float32) for name in names}
    for offset in offsets:
        first, size = struct.unpack_from("<ii", data, offset)
        lines = range(first - top, min(first - top + 16, height))
        packed = data[offset + 8 : offset + 8 + size]
        if size < len(lines) * len(names) * width * 4:
            steps = np.frombuffer(zlib.decompress(packed), np.uint8).astype(np.int64)
            steps[1:] -= 128
            octets = np.cumsum(steps).astype(np.uint8)
            half = (len(octets) + 1) // 2
            packed = np.empty_like(octets)
            packed[::2], packed[1::2] = octets[:half], octets[half:]
        rows = np.frombuffer(bytes(packed), "<f4").reshape(len(lines), len(names), width)
        for number, name in enumerate(names):
            values[name][lines.start : lines.stop] = rows[:, number]
    return values


def test_pictures_are_straight_rgba_that_look_the_same_on_any_background(rising_asset, tmp_path) -> None:
    events: list = []
    export(rising_asset, tmp_path / "run", ExportSettings(**SMALL), name="png", report=events.append)
    paths = sorted((tmp_path / "run").iterdir())
    assert [path.name for path in paths] == [f"frame_{k:03d}.png" for k in range(8)]
    film = plan_film(rising_asset, ExportSettings(**SMALL))
    for number in (0, 3):
        with Image.open(paths[number]) as picture:
            assert picture.mode == "RGBA"
            pixels = np.asarray(picture) / 255
        for background in (0.0, 0.3, 1.0):
            expected = render(rising_asset, film.cameras[number], film.times[number], background).rgb[0]
            drawn = pixels[..., :3] * pixels[..., 3:] + background * (1 - pixels[..., 3:])
            np.testing.assert_allclose(drawn, expected, atol=1.1 / 255)  # colour and alpha are rounded
    assert notes(events) == ["8 pictures, 8 a second"]
    assert any(isinstance(event, StageFinished) for event in events)


@pytest.mark.parametrize(
    ("background", "colour"), [("navy", (0, 0, 128)), ("#204060", (32, 64, 96)), ("white", (255, 255, 255))]
)
def test_a_background_is_a_colour_by_its_name_or_number(background, colour, rising_asset, tmp_path) -> None:
    settings = ExportSettings(**SMALL, background=background)
    export(rising_asset, tmp_path / "a_*.png", settings)
    with Image.open(tmp_path / "a_000.png") as picture:
        assert picture.mode == "RGB"
        assert picture.getpixel((0, 0)) == colour


def test_what_is_behind_the_object_where_nothing_is_said(rising_asset: Asset4D, tmp_path: Path) -> None:
    for suffix, corner in ((".webp", (0, 0, 0, 0)), (".apng", (0, 0, 0, 0)), (".gif", (255, 255, 255, 255))):
        export(rising_asset, tmp_path / f"a{suffix}", ExportSettings(**SMALL))
        with Image.open(tmp_path / f"a{suffix}") as picture:
            assert picture.convert("RGBA").getpixel((0, 0)) == corner


def test_transparency_that_a_format_lacks_is_refused_or_told(rising_asset: Asset4D, tmp_path: Path) -> None:
    events: list = []
    clear = ExportSettings(**SMALL, background="transparent")
    with pytest.raises(InputError, match=r"\.mp4 has no transparency: use \.webm"):
        export(rising_asset, tmp_path / "a.mp4", clear)
    with pytest.raises(InputError, match="'navi' is no colour"):
        export(rising_asset, tmp_path / "a.mp4", ExportSettings(background="navi"))
    with pytest.raises(InputError, match="background changes nothing in depth"):
        export(rising_asset, tmp_path / "a", clear, name="depth")
    assert list(tmp_path.iterdir()) == []
    export(rising_asset, tmp_path / "a.gif", clear, report=events.append)
    assert "there or not" in notes(events)[0]


def test_depth_in_16_bits_is_the_distance_in_steps(rising_asset: Asset4D, tmp_path: Path) -> None:
    events: list = []
    export(rising_asset, tmp_path / "d", ExportSettings(**SMALL), name="depth", report=events.append)
    film = plan_film(rising_asset, ExportSettings(**SMALL))
    expected = render(rising_asset, film.cameras[2], film.times[2])
    alpha = expected.alpha[0, ..., 0].numpy()
    depth = expected.depth[0, ..., 0].numpy() / alpha.clip(1e-6)
    with Image.open(tmp_path / "d" / "frame_002.png") as picture:
        assert picture.mode == "I;16"
        steps = np.asarray(picture)
    assert ((steps == 0) == (alpha < 0.5)).all()
    assert (steps > 0).sum() > 50
    np.testing.assert_allclose(steps[steps > 0] * 1e-4, depth[steps > 0], atol=0.51e-4)
    assert 1.7 < depth[steps > 0].mean() < 2.3, "the ball is about 2 away from the camera"
    assert "in steps of 0.0001" in notes(events)[0]
    assert "field of view 33.8 degrees" in notes(events)[0]


def test_depth_beyond_16_bits_is_an_error_that_says_what_to_do(rising_asset, tmp_path: Path) -> None:
    (tmp_path / "way.json").write_text('{"fov_deg": 5, "keys": [{"seconds": 0, "radius": 8}]}')
    far = ExportSettings(size=48, camera_path=tmp_path / "way.json")
    with pytest.raises(ExportError, match=r"does not fit into 16 bits.*write \.exr"):
        export(rising_asset, tmp_path / "d", far, name="depth")
    assert [path.name for path in tmp_path.iterdir()] == ["way.json"]


def test_exr_files_hold_depth_and_alpha_as_their_specification_lays_them_out(rising_asset, tmp_path) -> None:
    pytest.importorskip("OpenEXR", reason="needs pip install 'diffusion2[exr]'")
    export(rising_asset, tmp_path / "a_*.exr", ExportSettings(**SMALL))
    film = plan_film(rising_asset, ExportSettings(**SMALL))
    expected = render(rising_asset, film.cameras[1], film.times[1])
    read = read_exr(tmp_path / "a_001.exr")
    assert list(read) == ["A", "Z"]
    alpha = expected.alpha[0, ..., 0].numpy()
    np.testing.assert_array_equal(read["A"], alpha)
    assert (read["Z"][alpha == 0] == np.float32(1e10)).all()
    seen = alpha > 0
    np.testing.assert_allclose(
        read["Z"][seen], expected.depth[0, ..., 0].numpy()[seen] / alpha[seen], rtol=1e-6
    )


@pytest.fixture
def small_files():
    """Let no file grow beyond 300 bytes, which the system reports as it does a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "name", ["a.mp4", "a.webm", "a.webp", "a.apng", "a.gif", "new/a_*.png", "a_*.exr", "a.gltf-splats.glb"]
)
def test_what_can_not_be_written_whole_leaves_nothing(name, rising_asset, tmp_path, small_files) -> None:
    if name.endswith(".exr"):
        pytest.importorskip("OpenEXR", reason="needs pip install 'diffusion2[exr]'")
    settings = ExportSettings() if name.endswith(".glb") else ExportSettings(**SMALL)
    with pytest.raises(ExportError, match="could not be written"):
        export(rising_asset, tmp_path / name, settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.webm", "a.webp", "a.gif", "a_*.png"])
def test_an_interrupted_film_keeps_the_one_before(name, rising_asset, tmp_path: Path) -> None:
    path = tmp_path / name.replace("*", "000")
    path.write_text("before")

    def interrupt(event) -> None:
        if getattr(event, "done", 0) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(rising_asset, tmp_path / name, ExportSettings(**SMALL), report=interrupt)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "before"
