"""`study.html`: one page that asks people which of several results they prefer (figure 9 of the paper)."""

import base64
import hashlib
import json
import os
import random
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from diffusion2.config import GenerateSettings
from diffusion2.errors import AssetFormatError, InputError
from diffusion2.exporters.templates import render_template
from diffusion2.exporters.video import write_video
from diffusion2.exporters.writing import writing
from diffusion2.image_matrix import ImageMatrix
from diffusion2.research.study.answers import COLUMNS, QUESTIONS
from diffusion2.runs.matrix_files import read_cameras, read_matrix, read_pictures
from diffusion2.runs.run_folder import RunFolder

MAX_PAGE_BYTES = 200_000_000
MAX_CANDIDATES = 26
"""One letter each."""
QUARTERS_DEG = (0.0, 90.0, 180.0, 270.0)

Show = Literal["orbit", "matrix"]
"""What stands for a candidate: the run's `orbit.mp4`, or four views of its image matrix in one picture."""


@dataclass(frozen=True)
class Media:
    """A video or picture as the page holds it."""

    data: bytes
    type: Literal["video/mp4", "image/png"] = "video/mp4"


@dataclass(frozen=True)
class Case:
    """One object: what it was made from, and what each method made of it, by name."""

    name: str
    reference: Media
    candidates: dict[str, Media]


def read_cases(runs: Sequence[str], *, reference: str | None = None, show: Show = "orbit") -> list[Case]:
    """Read the runs to compare and sort them into cases.

    Args:
        runs: each is the path of a run's folder, which stands for the candidate of the folder's name in the
            case of its parent folder's name (`results/fox/ours`: candidate "ours" of case "fox"); or
            `CASE/NAME=PATH` where the folders are called otherwise.
        reference: the candidate that is shown as the reference in every case instead of being asked about,
            ground truth say. None: the reference video where a case's runs all have the same, else the input
            picture.
        show: what stands for a candidate.

    Raises:
        InputError: a path is no run, a name comes twice, a case has one candidate, or others than the rest.
        AssetFormatError: a run has no video, or it can't be read.
    """
    grouped: dict[str, dict[str, RunFolder]] = {}
    for argument in runs:
        case, name, run = _parse(argument)
        named = grouped.setdefault(case, {})
        if name in named:
            raise InputError(
                f"case {case} has two candidates {name}, {named[name].path} and {run.path}: "
                f"give one another name as {case}/OTHER={run.path}"
            )
        named[name] = run
    _check_cases(grouped, reference)
    return [_read_case(case, named, reference, show) for case, named in grouped.items()]


def write_study(
    cases: Sequence[Case], path: str | Path, *, title: str = "Comparison of moving objects", seed: int = 0
) -> None:
    """Write the page. It shows a case's candidates side by side, without their names, and keeps the answers.

    The order of a case's candidates depends on the seed and the names alone. The answers are saved as CSV,
    which `count_answers` reads.

    Args:
        cases: what to compare.
        path: the file, e.g. `study.html`.
        title: the page's heading.
        seed: of the order.

    Raises:
        InputError: the page would be larger than browsers open.
        ExportError: the file can't be written.
    """
    clips: list[str] = []

    def add(clip: Media) -> dict[str, object]:
        clips.append(base64.b64encode(clip.data).decode())
        return {"clip": len(clips) - 1, "type": clip.type}

    shown = []
    for case in cases:
        candidates = [{"name": _hidden(name), **add(case.candidates[name])} for name in shuffled(case, seed)]
        shown.append({"name": _hidden(case.name), "reference": add(case.reference), "candidates": candidates})
    size = sum(len(clip) for clip in clips)
    if size > MAX_PAGE_BYTES:
        raise InputError(
            f"the page would have {size / 1e6:.0f} MB, and browsers open about {MAX_PAGE_BYTES / 1e6:.0f}: "
            "give fewer runs, write several pages, or make the videos smaller"
        )
    study = {"seed": seed, "columns": COLUMNS, "questions": [vars(q) for q in QUESTIONS], "cases": shown}
    digest = hashlib.sha256(json.dumps([title, study]).encode())
    for clip in clips:
        digest.update(clip.encode())
    study["id"] = digest.hexdigest()[:8]
    with writing(path, "the study page") as temporary:
        page = render_template(
            "diffusion2.research.study", "study.html", title=title, study=study, clips=clips
        )
        temporary.write_text(page, encoding="utf-8")


def shuffled(case: Case, seed: int) -> list[str]:
    """Return the candidates' names in the order in which the page shows them."""
    names = sorted(case.candidates)
    random.Random(f"{seed}/{case.name}").shuffle(names)
    return names


# -- reading ----------------------------------------------------------------------------------------


def _parse(argument: str) -> tuple[str, str, RunFolder]:
    """Return case, name and run of one argument."""
    named = None
    if not Path(argument).exists():  # a folder may have such a name, too
        named = re.fullmatch(r"([^/=]+)/([^/=]+)=(.+)", argument, re.DOTALL)
    path = Path(named[3] if named else argument)
    if not RunFolder(path).holds_run():
        raise InputError(f"{path} is no run's folder: give folders that generate wrote, or CASE/NAME=FOLDER")
    if named:
        return named[1], named[2], RunFolder(path)
    whole = Path(os.path.abspath(path))  # not resolved: a link counts by its own name
    return whole.parent.name or "case", whole.name, RunFolder(path)


def _check_cases(grouped: dict[str, dict[str, RunFolder]], reference: str | None) -> None:
    if not grouped:
        raise InputError("there is nothing to compare: give two or more runs of each case, as CASE/METHOD")
    expected: tuple[str, set[str]] | None = None
    for case, named in grouped.items():
        if reference is not None and reference not in named:
            raise InputError(f"case {case} has no run {reference} for --reference, only {', '.join(named)}")
        names = set(named) - {reference}
        if len(names) < 2:
            alone = next(iter(names), "none")
            raise InputError(
                f"case {case} has one candidate ({alone}): give two or more runs of it; "
                "a run's case is its parent folder, or say CASE/NAME=FOLDER"
            )
        if len(names) > MAX_CANDIDATES:
            raise InputError(f"case {case} has {len(names)} candidates: give at most {MAX_CANDIDATES}")
        expected = expected or (case, names)
        if names != expected[1]:
            odd = sorted(names ^ expected[1])[0]
            raise InputError(
                f"candidate {odd} is in one of the cases {expected[0]} and {case}, but not in the other: "
                "preferences can be counted only where every case has the same candidates"
            )


def _read_case(case: str, named: dict[str, RunFolder], reference: str | None, show: Show) -> Case:
    candidates = {name: run for name, run in named.items() if name != reference}
    shown = (
        _reference_of(named[reference]) if reference else _common_reference(case, list(candidates.values()))
    )
    read = _read_orbit if show == "orbit" else _read_tiles
    return Case(case, shown, {name: read(run) for name, run in candidates.items()})


def _read_orbit(run: RunFolder) -> Media:
    if not run.orbit_path.is_file():
        raise AssetFormatError(
            f"{run.path} has no orbit.mp4: make it by `diffusion2 export {run.path} {run.orbit_path}`, "
            "or compare image matrices by --show matrix"
        )
    if run.orbit_path.stat().st_size > MAX_PAGE_BYTES:
        raise InputError(f"{run.orbit_path} is too large for a page: make it smaller")
    data = run.orbit_path.read_bytes()
    if data[4:8] != b"ftyp":
        raise AssetFormatError(f"{run.orbit_path} is no MP4 file: export it again")
    return Media(data)


def _read_tiles(run: RunFolder) -> Media:
    return _as_video(tiles(matrix := read_matrix(run.path)), matrix.fps)


def tiles(matrix: ImageMatrix) -> Tensor:
    """Return four views of a matrix side by side and below each other, (F, H', W', 3).

    The reference view is at the top left; the others are those nearest to a quarter, half and three quarters
    of a turn from it. A matrix of few views shows those it has.
    """
    azimuths = matrix.cameras.azimuths_deg
    turns = (azimuths - azimuths[matrix.reference_view])[None] - np.array(QUARTERS_DEG)[:, None]
    nearest = np.abs((turns + 180) % 360 - 180).argmin(1)
    views = list(dict.fromkeys(nearest.tolist()))
    rows = [matrix.images[k].permute(0, 2, 3, 1) for k in views]
    if len(rows) < 4:
        return torch.cat(rows, dim=2)
    return torch.cat([torch.cat(rows[:2], dim=2), torch.cat(rows[2:], dim=2)], dim=1)


def _common_reference(case: str, runs: list[RunFolder]) -> Media:
    """Return the reference video if it is the same in all runs that have one, else the input picture."""
    with_video = [run for run in runs if run.video_path.is_dir()]
    if with_video and len({_digest(run.video_path) for run in with_video}) == 1:
        return _reference_of(with_video[0])
    for run in runs:
        if run.picture_path.is_file():
            return Media(run.picture_path.read_bytes(), "image/png")
    raise InputError(
        f"no run of case {case} has conditions/ that say what it was made from: add a run that shows the "
        "reference and name it by --reference"
    )


def _reference_of(run: RunFolder) -> Media:
    """Return the reference view of one run over time, or its picture where there is no more."""
    if run.video_path.is_dir():
        images, _ = read_pictures(run.video_path, "frame")
        return _as_video(images.permute(0, 2, 3, 1), _fps(run))
    if run.has_matrix:
        matrix = read_matrix(run.path)
        return _as_video(matrix.images[matrix.reference_view].permute(0, 2, 3, 1), matrix.fps)
    if run.picture_path.is_file():
        return Media(run.picture_path.read_bytes(), "image/png")
    raise AssetFormatError(
        f"{run.path} has neither conditions/ nor matrix/: it can't be shown as the reference"
    )


def _fps(run: RunFolder) -> float:
    cameras = run.path / "cameras.json"
    return read_cameras(cameras, 1, 1)[2] if cameras.is_file() else GenerateSettings().fps


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("frame_*")):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _as_video(frames: Tensor, fps: float) -> Media:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(frames, path, fps)
        return Media(path.read_bytes())


def _hidden(name: str) -> str:
    """Encode a name so that nobody who looks at the page's text reads it by accident."""
    return base64.b64encode(name.encode("utf-8", "replace")).decode()
