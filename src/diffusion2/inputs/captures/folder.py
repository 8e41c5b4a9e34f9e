"""What a folder is: which program wrote its cameras, and where their pictures are."""

from dataclasses import replace
from pathlib import Path

from diffusion2.errors import InputError
from diffusion2.inputs.captures.colmap import find_model, read_colmap
from diffusion2.inputs.captures.nerfstudio import (
    HELD_OUT,
    LEARNT,
    WHOLE,
    find_transforms,
    read_times,
    read_transforms,
)
from diffusion2.inputs.captures.shots import Shot
from diffusion2.inputs.videos.folder import NUMBER, name_key

WHAT_THERE_IS = (
    "transforms.json (nerfstudio, NeRF, D-NeRF), or COLMAP's cameras and images (.txt or .bin) in it, in "
    "sparse/0/, or in one folder a frame"
)


def is_capture(folder: Path) -> bool:
    """Tell whether a folder has cameras of another program in it."""
    return bool(find_transforms(folder) or find_model(folder) or _frame_folders(folder))


def read_shots(folder: Path, notes: list[str], *, held_out: bool = False) -> tuple[list[Shot], list[float]]:
    """Read what a capture lists.

    Args:
        folder: the capture.
        notes: gets a line for everything that was chosen.
        held_out: take the part that is meant for testing, where there are parts.

    Returns:
        the shots, and the times of all parts, as their files say them.

    Raises:
        InputError: there is no capture, or a part of it is missing or makes no sense.
    """
    files, model = find_transforms(folder), find_model(folder)
    if files:
        chosen = _choose(files, held_out)
        others = [path.name for path in files if path != chosen] + (["COLMAP's files"] if model else [])
        if others:
            notes.append(
                f"{folder}: the cameras of {chosen.name} are taken, those of {', '.join(others)} are not"
            )
        return read_transforms(folder, chosen), [time for path in files for time in read_times(path)]
    if model:
        return read_colmap(folder, model), []
    frames = _frame_folders(folder)
    if not frames:
        raise InputError(f"{folder} has no cameras: it needs cameras.json and matrix/, or {WHAT_THERE_IS}")
    shots = []
    for number, inner in frames:
        inner_files, inner_model = find_transforms(inner), find_model(inner)
        if inner_files:
            found = read_transforms(inner, _choose(inner_files, held_out), number)
        else:
            assert inner_model is not None
            found = read_colmap(inner, inner_model, number)
        shots += [replace(shot, name=f"{inner.name}/{shot.name}", time=None) for shot in found]
    return shots, []


def _choose(files: list[Path], held_out: bool) -> Path:
    names = {path.name: path for path in files}
    order = (*HELD_OUT, WHOLE, LEARNT) if held_out else (WHOLE, LEARNT, *HELD_OUT)
    return next(names[name] for name in order if name in names)


def _frame_folders(folder: Path) -> list[tuple[float, Path]]:
    """List the folders inside that are captures, each with the number in its name, by that number."""
    found = []
    for inner in sorted(folder.iterdir(), key=lambda path: name_key(path.name)):
        numbers = NUMBER.findall(inner.name)
        if numbers and inner.is_dir() and (find_transforms(inner) or find_model(inner)):
            found.append((float(numbers[-1]), inner))
    return found
