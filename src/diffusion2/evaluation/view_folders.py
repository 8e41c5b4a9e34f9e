"""Pictures of an object from several views over time, as other projects leave them: a folder per view.

    OBJECT/eval_0/0.png …  OBJECT/eval_1/0.png …

is the layout of Consistent4D's test data and of the results that its scripts compare with it. Any name and a
number will do for the folders, and for the pictures in them. There are no cameras: whoever reads such a
folder must know the azimuths. Captures, with cameras that other programs found, are read by
`inputs.captures`.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from diffusion2.cameras import ModelFrame, make_cameras
from diffusion2.errors import AssetFormatError, InputError
from diffusion2.events import Report, Warned, ignore
from diffusion2.image_matrix import ImageMatrix, frame_times
from diffusion2.inputs.captures import is_capture, read_capture
from diffusion2.runs.matrix_files import read_matrix, read_sequence

UNKNOWN_FPS = 8.0
_NUMBERED = re.compile(r"(.*?)(\d+)")


@dataclass(frozen=True)
class ViewPictures:
    """One side of a comparison.

    Attributes:
        matrix: the pictures; where cameras are not known only their azimuths mean something.
        cameras_known: whether there were cameras beside them, ours or another program's.
    """

    matrix: ImageMatrix
    cameras_known: bool


def read_view_folders(
    folder: Path,
    azimuths_deg: Sequence[float] = (),
    frame: ModelFrame | None = None,
    report: Report = ignore,
) -> ViewPictures:
    """Read a run's matrix, a capture's part for testing, or a folder per view.

    Args:
        folder: holds `matrix/` and `cameras.json`, or folders `eval_0`, `eval_1` … of numbered PNG files.
        azimuths_deg: of the views of folders that come without `cameras.json`.
        frame: our world from that of a capture, where it is known.
        report: hears what was chosen and guessed about a capture.

    Raises:
        InputError: there is no such folder, the azimuths of its views are not known, or it is a capture that
            can't be used.
        AssetFormatError: a picture is missing, can't be read or differs in size, or a view is incomplete.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    if (folder / "cameras.json").is_file():
        return ViewPictures(read_matrix(folder), cameras_known=True)
    if is_capture(folder):
        notes: list[str] = []
        matrix = read_capture(folder, report, held_out=True, frame=frame).complete(notes)
        for note in notes:
            report(Warned(f"{folder}: {note}"))
        return ViewPictures(matrix, cameras_known=True)
    place = folder / "matrix" if (folder / "matrix").is_dir() else folder
    views = _numbered(place, folders=True)
    if not views:
        raise InputError(f"{folder} holds no pictures of views: {_what_there_is(folder)}")
    if len(azimuths_deg) != len(views):
        known = f"{len(azimuths_deg)} azimuths are given" if azimuths_deg else "there is no cameras.json"
        raise InputError(
            f"{folder} has {len(views)} views, but {known}: name the azimuths of {views[0].name} to "
            f"{views[-1].name} with --azimuths-deg, or write cameras.json (docs/conventions.md)"
        )
    rows = [_read_row(view) for view in views]
    shapes = [tuple(images.shape) for images, _ in rows]
    for view, shape in zip(views, shapes, strict=True):
        if shape != shapes[0]:
            raise AssetFormatError(f"{view} has {_size(shape)}, but {views[0].name} has {_size(shapes[0])}")
    frames, _, height, width = shapes[0]
    cameras = make_cameras(list(azimuths_deg), 0.0, height=height, width=width)
    alphas = [alpha for _, alpha in rows if alpha is not None]
    return ViewPictures(
        ImageMatrix(
            torch.stack([images for images, _ in rows]),
            cameras,
            frame_times(frames),
            UNKNOWN_FPS,
            torch.stack(alphas) if len(alphas) == len(rows) else None,
        ),
        cameras_known=False,
    )


def count_view_folders(folder: Path) -> int:
    """Return the number of views of a folder that has no cameras; 0 of any other folder."""
    if not folder.is_dir() or (folder / "cameras.json").is_file() or is_capture(folder):
        return 0
    return len(_numbered(folder / "matrix" if (folder / "matrix").is_dir() else folder, folders=True))


def _read_row(folder: Path) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Read the pictures of one view, (F, 3, H, W), and their alphas if all have them."""
    paths = _numbered(folder, folders=False)
    if not paths:
        raise AssetFormatError(f"{folder} holds no numbered PNG files")
    return read_sequence(paths)


def _numbered(folder: Path, *, folders: bool) -> list[Path]:
    """Return the folders, or the PNG files, whose names end in a number, by that number.

    Raises:
        AssetFormatError: a number is missing or there twice, or the names mix several series.
    """
    found: dict[int, Path] = {}
    names = set()
    for path in sorted(folder.iterdir()):
        match = _NUMBERED.fullmatch(path.name if folders else path.stem)
        suits = path.is_dir() if folders else path.suffix.lower() == ".png" and path.is_file()
        if match is None or not suits or path.name.startswith("."):
            continue
        name, number = match[1], int(match[2])
        if number in found and name in names:
            raise AssetFormatError(
                f"{folder} has {found[number].name} and {path.name}: which is number {number}?"
            )
        names.add(name)
        found[number] = path
    if len(names) > 1:
        raise AssetFormatError(
            f"{folder} mixes {' and '.join(f'{name}0 …' for name in sorted(names))}: keep one series in it"
        )
    numbers = sorted(found)
    for expected, number in enumerate(numbers, start=min(numbers[0], 1) if numbers else 0):
        if number != expected:
            kind = "the folder" if folders else "the picture"
            raise AssetFormatError(f"{kind} {names.pop()}{expected} is missing in {folder}")
    return [found[number] for number in numbers]


def _what_there_is(folder: Path) -> str:
    """Say what was expected, and where it may be."""
    for below in sorted(folder.iterdir()):
        with suppress(AssetFormatError):
            if count_view_folders(below):
                return f"it holds several objects, give one, for example {below}"
    return (
        "it needs matrix/ and cameras.json, another program's cameras (docs/inputs.md), or folders eval_0, "
        "eval_1 … of numbered PNG files"
    )


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} pictures of {shape[3]} x {shape[2]} pixels"
