"""The page sees of an input what a run will see, and survives whatever a file does to its reader."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from diffusion2.config import PRESETS
from diffusion2.errors import InputError
from diffusion2.viewer.cut_outs import CutOuts, read_cut_out

SETTINGS = replace(PRESETS["mini"], size=64, frames=4)


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    """A red disc on white, without alpha."""
    image = Image.new("RGB", (200, 160), "white")
    ImageDraw.Draw(image).ellipse((50, 30, 150, 130), fill=(200, 40, 30))
    image.save(tmp_path / "disc.png")
    return tmp_path / "disc.png"


def test_a_picture_is_cut_out_and_laid_on_squares(disc: Path) -> None:
    found = read_cut_out(disc, SETTINGS)
    assert found.told == "a picture"
    assert found.picture.shape == (64, 64, 3)
    assert np.abs(found.picture[32, 32].astype(int) - (200, 40, 30)).max() < 8
    corner = found.picture[:8].astype(int)  # 5: resampling rings a little around the object
    assert np.abs(corner[:, :8] - 245).max() <= 5
    assert np.abs(corner[:, 8:16] - 225).max() <= 5


def test_of_a_video_three_frames_are_shown(tmp_path: Path) -> None:
    frames = []
    for shift in range(4):
        frame = Image.new("RGB", (100, 80), "white")
        ImageDraw.Draw(frame).ellipse((20 + 5 * shift, 20, 60 + 5 * shift, 60), fill=(200, 40, 30))
        frames.append(frame)
    path = tmp_path / "disc.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    found = read_cut_out(path, SETTINGS)
    assert "4 frames" in found.told
    assert found.picture.shape == (64, 192, 3)


@pytest.fixture(scope="module")
def process() -> Iterator[CutOuts]:
    cut_outs = CutOuts()
    yield cut_outs
    cut_outs.close()


def test_another_process_reads_and_says_what_is_wrong(process: CutOuts, disc: Path, tmp_path: Path) -> None:
    assert process.look(disc, SETTINGS).picture.shape == (64, 64, 3)
    other = tmp_path / "other.png"
    other.write_bytes(b"#!/bin/sh\necho hello\n")
    with pytest.raises(InputError, match="is no picture, video or 3D model"):
        process.look(other, SETTINGS)
    assert process.look(disc, SETTINGS).told == "a picture"


def test_a_reader_that_dies_is_replaced(process: CutOuts, disc: Path) -> None:
    process.look(disc, SETTINGS)
    assert process._process is not None
    process._process.kill()
    process._process.join()
    assert process.look(disc, SETTINGS).told == "a picture"
