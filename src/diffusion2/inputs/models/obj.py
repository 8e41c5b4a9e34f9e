"""OBJ: polygons with the file's own normals, and the materials beside it.

Source: the OBJ format as its inventor describes it (Wavefront, Advanced Visualizer, appendix B1); free-form
surfaces, lines and points are left out. Colours after a vertex's place are a widespread addition.
"""

import contextlib
import warnings
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from diffusion2.errors import InputError
from diffusion2.events import Report, Warned
from diffusion2.inputs.models.looks import GREY_LOOK, Look, listed
from diffusion2.inputs.models.mtl import Looks, MtlMaterial, folder_of, read_mtl
from diffusion2.inputs.models.polygons import Polygons
from diffusion2.meshes.files import find_file

MAX_TRIANGLES = 2_000_000
BATCH = 200_000


@dataclass
class _Lines:
    """What the lines of a file say.

    Corners are rows of three numbers, of a point, a place in the texture and a normal, from 0; -1 is none.
    Words are corners that are still to become such rows: many at once, for it is quick.
    """

    points: array = field(default_factory=lambda: array("d"))
    colors: array = field(default_factory=lambda: array("d"))
    uvs: array = field(default_factory=lambda: array("d"))
    normals: array = field(default_factory=lambda: array("d"))
    corners: list[np.ndarray] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    counts: array = field(default_factory=lambda: array("q"))
    looks: array = field(default_factory=lambda: array("q"))
    names: dict[str, int] = field(default_factory=dict)
    libraries: list[str] = field(default_factory=list)


def read_obj(path: Path, report: Report) -> tuple[Polygons, list[Look]]:
    """Read polygons and their looks, in the file's own axes.

    Raises:
        InputError: a line makes no sense, or there are too many triangles.
    """
    lines = _read_lines(path)
    points = _rows(lines.points, 3)
    corners = np.concatenate([np.zeros((0, 3), np.int64), *lines.corners])
    colors = None
    if len(lines.colors) == len(lines.points):
        colors = np.nan_to_num(_rows(lines.colors, 3))
        colors = np.clip(colors / (255 if colors.max(initial=0) > 1 else 1), 0, 1)
        colors = colors[corners[:, 0].clip(0, len(points) - 1)] if len(points) else None
    mesh = Polygons(
        points,
        corners[:, 0],
        np.array(lines.counts, np.int64),
        np.array(lines.looks, np.int64),
        _picked(_rows(lines.normals, 3), corners[:, 2]),
        _picked(_rows(lines.uvs, 2), corners[:, 1]),
        colors,
    )
    return mesh, _looks(path, lines, mesh.uvs is not None, report)


def _rows(numbers: array, width: int) -> np.ndarray:
    return np.array(numbers, np.float64).reshape(-1, width)


def _picked(rows: np.ndarray, numbers: np.ndarray) -> np.ndarray | None:
    """Pick a row for each corner, NaN where there is no such row; None where no corner has one."""
    known = (numbers >= 0) & (numbers < len(rows))
    if not known.any():
        return None
    picked = np.full((len(numbers), rows.shape[1]), np.nan)
    picked[known] = rows[numbers[known]]
    return picked


def _read_lines(path: Path) -> _Lines:
    lines, triangles = _Lines(), 0
    look = lines.names.setdefault("", 0)
    for number, line in _whole_lines(path):
        words = line.split()
        key = words[0] if words else "#"
        try:
            if key == "v":
                lines.points.extend(map(float, words[1:4]))
                if len(words) in (7, 8):
                    lines.colors.extend(map(float, words[4:7]))
            elif key == "vt":
                lines.uvs.extend(map(float, [*words[1:3], "0"][:2]))
            elif key == "vn":
                lines.normals.extend(map(float, words[1:4]))
            elif key in ("f", "fo"):
                lines.counts.append(_add_corners(lines, words[1:], "-" in line or "#" in line))
                lines.looks.append(look)
                triangles += max(lines.counts[-1] - 2, 0)
            elif key == "usemtl":
                look = lines.names.setdefault(line.partition("usemtl")[2].strip(), len(lines.names))
            elif key == "mtllib":
                lines.libraries.append(line.partition("mtllib")[2].strip())
        except ValueError as error:
            raise InputError(f"{path} is damaged near line {number}: {error}") from None
        if triangles > MAX_TRIANGLES:
            raise InputError(f"{path} has more than {MAX_TRIANGLES:,} triangles: simplify it first")
        if len(lines.points) % 3 or len(lines.normals) % 3 or len(lines.uvs) % 2:
            raise InputError(f"{path} is damaged: line {number} lacks a number: {line.strip()[:60]!r}")
    try:
        _settle(lines)
    except ValueError as error:
        raise InputError(f"{path} is damaged near its end: {error}") from None
    return lines


def _whole_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield the lines with their numbers; what ends in `\` goes on in the next."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        begun = ""
        for number, line in enumerate(file, 1):
            line = begun + line
            begun = line.rstrip()[:-1] + " " if line.rstrip().endswith("\\") else ""
            if not begun:
                yield number, line


def _add_corners(lines: _Lines, words: list[str], odd: bool) -> int:
    """Add a polygon's corners; those that count from the end, or stand before a comment, at once."""
    if odd:
        _settle(lines)
        words = words[: next((k for k, word in enumerate(words) if word.startswith("#")), len(words))]
    lines.words += words
    if odd or len(lines.words) >= BATCH:
        _settle(lines)
    return len(words)


def _settle(lines: _Lines) -> None:
    """Make words rows: they are like 1, 1/2, 1//3, 1/2/3, or -1 for the last point so far.

    Raises:
        ValueError: one is not; says which.
    """
    words, lines.words = lines.words, []
    parts = words[0].count("/") + 1 if words else 0
    alike = parts <= 3 and all(word.count("/") + 1 == parts for word in words)
    numbers = np.zeros(0, np.int64)
    if alike:
        text = " ".join(words).replace("//", "/0/").replace("/", " ")
        with contextlib.suppress(ValueError, DeprecationWarning), warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # older numpy's way to meet what is no number
            numbers = np.fromstring(text, np.int64, sep=" ")
    if not alike or len(numbers) != len(words) * parts:
        parts = 3
        numbers = np.array([number for word in words for number in _corner(word)], np.int64)
    rows = np.zeros((len(words), 3), np.int64)
    rows[:, :parts] = numbers.reshape(len(words), parts)
    totals = np.array([len(lines.points) // 3, len(lines.uvs) // 2, len(lines.normals) // 3])
    from_end = (rows < 0) & (rows >= -totals)
    lines.corners.append(np.where(from_end, totals + rows, np.maximum(rows, 0) - 1))


def _corner(word: str) -> list[int]:
    try:
        return [int(part) if part else 0 for part in [*word.split("/"), "", ""][:3]]
    except ValueError:
        raise ValueError(f"a face has the corner {word[:40]!r}") from None


def _looks(path: Path, lines: _Lines, has_uvs: bool, report: Report) -> list[Look]:
    """Find the materials that the faces name, in the order of their numbers."""
    used = set(lines.looks)
    names = [name for name, number in lines.names.items() if number in used and name]
    known = _materials(path, lines, names, report)
    if not names and len(known) == 1:
        [(name, only)] = known.items()
        report(Warned(f"{path} names no material for its faces: {name!r}, the only one there is, is taken"))
        known = {"": only}
    elif not names and known:
        report(
            Warned(
                f"{path} names none of its {len(known)} materials for its faces, which are drawn grey: put "
                "a line usemtl before them"
            )
        )
    elif not (names or known or lines.libraries) and has_uvs:
        report(Warned(f"{path} has places for a texture, but names no material: it is drawn grey"))
    undefined = [name for name in names if name not in known]
    if undefined and known:
        report(Warned(f"{path} names materials that are nowhere defined, drawn grey: {listed(undefined)}"))
    looks = Looks(path, report)
    made = [
        looks.make(known[name]) if name in known and number in used else GREY_LOOK
        for name, number in lines.names.items()
    ]
    looks.tell()
    return made


def _materials(path: Path, lines: _Lines, names: list[str], report: Report) -> dict[str, MtlMaterial]:
    """Read the files of materials that an OBJ names, or else the one that is called as it is."""
    known: dict[str, MtlMaterial] = {}
    missing = []
    for library in dict.fromkeys(lines.libraries):
        whole = library.strip('"')
        parts = [whole] if find_file(path.parent, whole)[0] else library.split()  # one name, or several
        for name in parts:
            found, _ = find_file(path.parent, name)
            if found is None:
                missing.append(whole if len(parts) == 1 else name)
            else:
                known = read_mtl(found, folder_of(found, path)) | known
    if known or not (missing or names):
        if missing:
            report(
                Warned(
                    f"{path} names the materials {listed(missing)}, which are not there: put them beside it"
                )
            )
        return known
    beside, _ = find_file(path.parent, f"{path.stem}.mtl")
    if beside is not None and (known := read_mtl(beside)):
        report(
            Warned(f"{path} names its materials {listed(missing) or 'nowhere'}: {beside} is taken for them")
        )
        return known
    what = (
        f"the materials {listed(missing)}, which are not there"
        if missing
        else "materials, but no file of them"
    )
    report(Warned(f"{path} names {what}: it is drawn grey; put the file beside it"))
    return {}
