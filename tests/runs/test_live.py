"""What a run shows of itself: whole files, little time, and nothing left."""

import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from diffusion2.errors import ExportError
from diffusion2.runs import live
from diffusion2.runs.live import LiveFiles
from diffusion2.runs.lock import locked


def test_the_matrix_is_one_picture_with_a_row_a_view(tmp_path: Path) -> None:
    pictures = torch.zeros(2, 3, 3, 16, 16)
    pictures[1, 2, 0] = 1.0  # the second view's third frame is red
    with LiveFiles(tmp_path) as files:
        files.show_matrix(lambda: pictures)
        shown = Image.open(files.matrix_path)
        assert shown.size == (48, 32)
        red = shown.getpixel((40, 24))
        assert red[0] > 200
        assert red[1] < 60
        assert max(shown.getpixel((24, 24))) < 60


def test_nothing_is_left_when_the_run_ends_or_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with LiveFiles(tmp_path) as files:
            files.show_matrix(lambda: torch.zeros(1, 1, 3, 8, 8))
            assert files.folder.is_dir()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    LiveFiles(tmp_path).show_matrix(lambda: torch.zeros(1, 1, 3, 8, 8))
    with locked(tmp_path):
        assert not LiveFiles(tmp_path).folder.exists()


def test_a_full_disk_does_not_stop_the_run(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        raise ExportError("no space left")

    with LiveFiles(tmp_path) as files:
        files.show_asset(fail)


def test_slow_files_are_written_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a second of a clock of our own; the run takes 100 s besides."""
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    monkeypatch.setattr(live, "PAUSE_S", 0.0)
    written = []

    def write(path: Path) -> None:
        nonlocal now
        now += 1.0
        written.append(now)

    with LiveFiles(tmp_path) as files:
        for _ in range(200):
            now += 0.5
            files.show_asset(write)
    assert 1 <= len(written) <= 0.02 * now + 1
