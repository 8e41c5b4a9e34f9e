"""A run seen from outside: what its log and its files say while it goes on, and when it is over."""

import json
from pathlib import Path

import pytest
import torch

from diffusion2.config import PRESETS
from diffusion2.errors import AssetFormatError, InputError
from diffusion2.events import StageProgress, StageStarted, Warned, to_record
from diffusion2.gaussians import Asset4D
from diffusion2.image_matrix import ImageMatrix, frame_times, view_cameras
from diffusion2.runs.live import LiveFiles
from diffusion2.runs.lock import LOCK
from diffusion2.runs.matrix_files import write_matrix
from diffusion2.runs.plan import Plan
from diffusion2.runs.run_folder import RunFolder
from diffusion2.runs.source import Source
from diffusion2.viewer.feed import RunFeed
from diffusion2.viewer.live import find_shown

MINI = PRESETS["mini"]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run that has just begun."""
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    config = Plan(Source(), MINI, "as asked").to_config("cpu")
    run.config_path.write_text(json.dumps(config))
    (run.path / LOCK).touch()
    return run


def log(run: RunFolder, *events: object, end: str = "\n") -> None:
    with run.events_path.open("a") as file:
        file.write("\n".join(json.dumps(to_record(event)) for event in events) + end)  # type: ignore[arg-type]


def still(asset: Asset4D) -> Asset4D:
    return Asset4D(asset.gaussians, None, asset.metadata)


def test_the_log_is_followed_line_by_line(run: RunFolder) -> None:
    feed = RunFeed(run.path)
    assert feed.look().stand.stage == ""
    log(run, Warned("a note"), StageStarted("matrix"), StageProgress("matrix", 3, 14, 2.0, 7.0))
    stand = feed.look().stand
    assert (stand.stage, stand.done, stand.total, stand.eta) == ("matrix", 3, 14, 7.0)
    assert (stand.notes, stand.is_going_on, stand.is_finished) == (("a note",), True, False)
    log(run, StageProgress("matrix", 9, 14, 2.0, 7.0), end="")  # its line is not whole yet
    assert feed.look().stand.done == 3
    log(run)
    assert feed.look().stand.done == 9


def test_what_is_no_event_changes_nothing(run: RunFolder) -> None:
    log(run, StageStarted("matrix"))
    with run.events_path.open("ab") as file:
        file.write(b'nonsense\n{"event": "StageProgress"}\n[1]\n\xff\xfe\n{"event": "FromTheFuture"}\n')
    assert RunFeed(run.path).look().stand.stage == "matrix"


def test_another_run_in_its_place_is_read_from_its_beginning(run: RunFolder) -> None:
    feed = RunFeed(run.path)
    log(run, Warned("of the first run, a long line"), StageStarted("matrix"))
    feed.look()
    run.events_path.unlink()
    log(run, StageStarted("decode"))
    stand = feed.look().stand
    assert (stand.stage, stand.notes) == ("decode", ())


def test_estimates_and_gaussians_are_seen_once_each(run: RunFolder, sliding_asset: Asset4D) -> None:
    feed, live = RunFeed(run.path), LiveFiles(run.path)
    assert feed.look().sheet is None
    live.show_matrix(lambda: torch.ones(MINI.views, MINI.frames, 3, 8, 8))
    sheet = feed.look().sheet
    assert sheet is not None
    assert (len(sheet.directions), len(sheet.times)) == (MINI.views, MINI.frames)
    assert feed.look().sheet is None
    live.show_asset(still(sliding_asset).save)
    news = feed.look()
    assert news.asset is not None
    assert not news.is_final
    assert feed.look().asset is None


def test_the_result_is_the_matrix_and_the_asset_of_the_folder(run: RunFolder, sliding_asset: Asset4D) -> None:
    images = torch.ones(MINI.views, 3, 3, 8, 8)
    matrix = ImageMatrix(images, view_cameras(MINI), frame_times(3), 8.0)
    write_matrix(run.path, matrix)
    still(sliding_asset).save(run.asset_path)
    news = RunFeed(run.path).look()
    assert news.is_final
    assert news.sheet is not None
    position = matrix.cameras.positions[4]
    assert news.sheet.nearest(position, 0.6) == (4, 1)
    assert news.sheet.nearest(position, 0.9) == (4, 2)


def test_an_asset_that_can_not_be_read_is_said(run: RunFolder) -> None:
    run.asset_path.write_bytes(b"no asset")
    news = RunFeed(run.path).look()
    assert news.asset is None
    assert "not a safetensors file" in news.error


def test_what_can_be_viewed(run: RunFolder, tmp_path: Path, sliding_asset: Asset4D) -> None:
    assert find_shown(run.path) == (None, run)  # it goes on
    with pytest.raises(InputError, match="there is no"):
        find_shown(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AssetFormatError, match="holds no run"):
        find_shown(tmp_path / "empty")
    nothing = Asset4D(sliding_asset.gaussians.select(torch.arange(0)))
    nothing.save(tmp_path / "nothing.safetensors")
    with pytest.raises(AssetFormatError, match="has no Gaussians"):
        find_shown(tmp_path / "nothing.safetensors")
    (tmp_path / "other.safetensors").write_bytes(b"other")
    with pytest.raises(AssetFormatError, match="not a safetensors file"):
        find_shown(tmp_path / "other.safetensors")
    still(sliding_asset).save(run.asset_path)
    assert find_shown(run.path)[0] is not None
