"""The table of formats: what a path asks for, what is refused, and that a failure leaves nothing behind."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from diffusion2 import ExportSettings, export
from diffusion2.commands.asset import Export
from diffusion2.errors import BackendUnavailable, ExportError, InputError
from diffusion2.events import StageFinished, Warned
from diffusion2.exporters.choosing import Extra, list_formats
from diffusion2.exporters.formats import FORMATS, find_format
from diffusion2.gaussians import Asset4D


@pytest.mark.parametrize("row", FORMATS, ids=lambda row: f"{row.name}{'s' if row.many else ''}")
def test_every_format_is_found_by_its_own_path(row, tmp_path: Path) -> None:
    path = tmp_path / f"a_*{row.suffix}" if row.many else tmp_path / f"a{row.suffix.upper()}"
    assert find_format(path, row.name) is row
    if row.many:
        assert find_format(tmp_path, row.name) is row
        assert find_format(tmp_path / "new.folder", row.name) is row


@pytest.mark.parametrize("row", FORMATS, ids=str)
def test_the_help_of_the_command_names_every_format(row) -> None:
    assert row.suffix in (Export.__doc__ or "")


@pytest.mark.parametrize(
    ("path", "name", "message"),
    [
        ("a.fbx", None, "can't be written as .fbx"),
        ("a", None, "can't be written as that"),
        (".", None, "is a folder, where the suffix"),
        ("a_*.mp4", None, "not written as numbered files"),
        ("a.obj", None, "not written as one file"),
    ],
)
def test_a_path_that_names_no_format_is_told_the_known_ones(path, name, message, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=message) as caught:
        find_format(tmp_path / path, name)
    for row in FORMATS:
        assert row.suffix in str(caught.value)
        assert row.extra is None or f"(extra {row.extra.name})" in str(caught.value)


def test_formats_are_listed_by_what_tells_them_apart() -> None:
    listed = list_formats(FORMATS).split(", ")
    assert len(listed) == len(set(listed)) == len(FORMATS)
    assert {".glb (extra mesh)", ".glb --as splats", "NAME_*.png --as depth", "FOLDER --as dataset"} <= set(
        listed
    )


def test_a_name_that_is_unknown_or_goes_with_other_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"plyy is unknown.*mean ply.*html"):
        find_format(tmp_path / "a.ply", "plyy")
    with pytest.raises(InputError, match=r"it is for \.html"):
        find_format(tmp_path / "a.ply", "html")
    with pytest.raises(InputError, match=r"it is for \.mp4"):
        find_format(tmp_path, "mp4")


def test_a_setting_that_would_change_nothing_is_refused(rising_asset: Asset4D, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pad_sh changes nothing in mp4: it is for \.ply"):
        export(rising_asset, tmp_path / "a.mp4", ExportSettings(pad_sh=True))
    with pytest.raises(InputError, match=r"time changes nothing .* it is for"):
        export(rising_asset, tmp_path / "a_*.ply", ExportSettings(time=0.5))
    with pytest.raises(InputError, match="time must"):
        ExportSettings(time=1.5)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_asset_is_refused(rising_asset: Asset4D, tmp_path: Path) -> None:
    nothing = replace(rising_asset, gaussians=rising_asset.gaussians.select(torch.zeros(0, dtype=torch.long)))
    for path in ("a.ply", "a_*.ply", "a.html", "a.mp4"):
        with pytest.raises(ExportError, match="no Gaussians: there is nothing to export"):
            export(nothing, tmp_path / path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_named_before_anything_is_computed() -> None:
    row = replace(FORMATS[0], extra=Extra("mesh", ("no_such_library",)))
    with pytest.raises(BackendUnavailable, match=r"pip install 'diffusion2\[mesh\]'"):
        row.check_extra()
    assert "needs the extra mesh" in str(row)


@pytest.mark.parametrize("row", [row for row in FORMATS if row.extra], ids=str)
def test_an_extra_that_is_named_is_one_that_can_be_installed(row) -> None:
    extras = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    brought = extras["project"]["optional-dependencies"][row.extra.name]
    assert "skimage" not in row.extra.modules or row.extra.name == "mesh" or "diffusion2[mesh]" in brought


def test_a_folder_where_a_file_is_wanted_and_a_file_where_a_folder_is(rising_asset, tmp_path: Path) -> None:
    (tmp_path / "folder.ply").mkdir()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExportError, match="is a folder"):
        export(rising_asset, tmp_path / "folder.ply")
    with pytest.raises(ExportError, match="it is a file; give a folder"):
        export(rising_asset, tmp_path / "file", name="ply")
    with pytest.raises(ExportError, match=r"create the folder .* first"):
        export(rising_asset, tmp_path / "no" / "a.ply")
    with pytest.raises(ExportError, match=r"create the folder .* first"):
        export(rising_asset, tmp_path / "no" / "such" / "a_*.ply")
    with pytest.raises(ExportError, match="one \\* in the file's name"):
        export(rising_asset, tmp_path / "a_*_*.ply")
    assert (tmp_path / "file").read_text() == "mine"
    assert not any((tmp_path / "folder.ply").iterdir())


@pytest.mark.parametrize("name", ["a.ply", "new/a_*.ply", "a_*.ply"])
def test_what_can_not_be_written_whole_leaves_nothing(
    name, rising_asset, tmp_path: Path, small_files
) -> None:
    (tmp_path / "a_000.ply").write_text("before")
    with pytest.raises(ExportError, match="could not be written: File too large"):
        export(rising_asset, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["a_000.ply"]
    assert (tmp_path / "a_000.ply").read_text() == "before"


def test_an_interrupted_sequence_leaves_what_was_there(rising_asset, tmp_path: Path) -> None:
    (tmp_path / "a_000.ply").write_text("before")

    def interrupt(event) -> None:
        if getattr(event, "done", 0) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(rising_asset, tmp_path / "a_*.ply", report=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["a_000.ply"]
    assert (tmp_path / "a_000.ply").read_text() == "before"


def test_a_sequence_takes_the_place_of_a_longer_one_and_of_nothing_else(rising_asset, tmp_path: Path) -> None:
    for name in ("frame_000.ply", "frame_007.ply", "frame_0012.ply", "frame_x.ply", "other_1.ply", "a.txt"):
        (tmp_path / name).write_text("before")
    export(rising_asset, tmp_path, name="ply")
    kept = {"frame_x.ply", "other_1.ply", "a.txt"}
    assert {path.name for path in tmp_path.iterdir()} == {*kept, *(f"frame_{k:03d}.ply" for k in range(5))}
    assert all((tmp_path / name).read_text() == "before" for name in kept)


def test_progress_and_speed_are_reported(rising_asset, tmp_path: Path) -> None:
    events = []
    assert export(rising_asset, tmp_path / "a_*.ply", report=events.append) == tmp_path / "a_*.ply"
    assert any(isinstance(event, StageFinished) for event in events)
    assert [e.message for e in events if isinstance(e, Warned)] == [
        "5 files, to be played at 8 a second: PLY has no place for it"
    ]
    export(replace(rising_asset, deformation=None), tmp_path / "still_*.ply", report=events.append)
    assert [path.name for path in tmp_path.glob("still_*")] == ["still_000.ply"]
    assert "nothing moves" in events[-1].message
