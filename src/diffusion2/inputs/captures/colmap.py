"""COLMAP's models, as text or binary, as its documentation ("Output Format") defines them.

A line of images.txt says how a point of the world gets into the camera (quaternion w, x, y, z, then the
shift); every second line lists points and doesn't matter here.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from diffusion2.errors import InputError, in_one_line
from diffusion2.inputs.captures import colmap_binary
from diffusion2.inputs.captures.lens import Lens
from diffusion2.inputs.captures.shots import Shot, check_missing, check_pose, find_picture, fit_lens
from diffusion2.inputs.videos.folder import NUMBER, PICTURES, name_key
from diffusion2.quaternions import rotation_entries

PLACES = ("sparse/0", "sparse", "colmap/sparse/0", "colmap", "")
"""Where below a capture COLMAP's files lie."""
MODELS = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
    "FULL_OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "SIMPLE_RADIAL_FISHEYE": ("f", "cx", "cy", "k1"),
    "RADIAL_FISHEYE": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV_FISHEYE": ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
}
"""The parameters of each camera model, in order."""


def find_model(folder: Path) -> tuple[Path, Path] | None:
    """Find the files of cameras and images of a capture, as text or else binary."""
    for suffix in (".txt", ".bin"):
        for place in PLACES:
            found = folder / place / f"cameras{suffix}", folder / place / f"images{suffix}"
            if all(path.is_file() for path in found):
                return found
    return None


def read_colmap(folder: Path, model: tuple[Path, Path], number: float | None = None) -> list[Shot]:
    """Read the shots of a capture.

    Pictures are looked for in `images/` and the folder itself; where a name has pictures in one folder a
    frame (`frame_000/NAME` …), or a folder of its name without suffix, it is a camera over time.

    Args:
        folder: the capture.
        model: its files, of `find_model`.
        number: of the frame's folder that the capture is.

    Raises:
        InputError: a file can't be read or makes no sense, a picture is missing or of another size.
    """
    cameras, images = model
    binary = cameras.suffix == ".bin"
    lenses = dict(_make_lenses(cameras, (colmap_binary.read_cameras if binary else _read_cameras)(cameras)))
    shots, missing, names = [], [], 0
    for name, camera, values in (colmap_binary.read_images if binary else _read_images)(images):
        names += 1
        pose = _invert(np.array(values), f"{images}: the pose of {name}")
        if camera not in lenses:
            raise InputError(f"{images}: {name} has camera {camera}, which {cameras.name} lacks")
        found = _find_over_time(folder, name)
        if not found:
            missing.append(name)
        for inner, picture in found:
            shots.append(
                Shot(
                    picture,
                    str(picture.relative_to(folder)),
                    fit_lens(lenses[camera], picture),
                    pose,
                    folder_number=number if inner is None else inner,
                    mask=_find_mask(folder, picture, name),
                )
            )
    check_missing(missing, names, images)
    if not shots:
        raise InputError(f"{images} names no pictures: no camera was found")
    return shots


def _find_over_time(folder: Path, name: str) -> list[tuple[float | None, Path]]:
    """Find a name's picture or pictures, each with its frame's number where folders say it."""
    for root in (folder / "images", folder):
        if found := find_picture(root, name):
            return [(None, found)]
    frames = []
    for inner in sorted(folder.iterdir(), key=lambda path: name_key(path.name)):
        numbers = NUMBER.findall(inner.name)
        found = (
            numbers and inner.is_dir() and (find_picture(inner / "images", name) or find_picture(inner, name))
        )
        if found:
            frames.append((float(numbers[-1]), found))
    if frames:
        return frames
    for root in (folder / "images", folder):
        own = (root / name).with_suffix("")
        if own.is_dir():
            files = sorted(own.iterdir(), key=lambda path: name_key(path.stem))
            return [(None, path) for path in files if path.suffix.lower() in PICTURES]
    return []


def _find_mask(folder: Path, picture: Path, name: str) -> Path | None:
    """COLMAP's masks are called like the picture, with .png behind it; or instead of the suffix."""
    for root in {folder / "masks", picture.parent / "masks", picture.parent.parent / "masks"}:
        for candidate in (f"{name}.png", f"{picture.name}.png", name, picture.name, f"{picture.stem}.png"):
            if (root / candidate).is_file():
                return root / candidate
    return None


def _read_cameras(path: Path) -> Iterator[tuple[str, str, list[float]]]:
    """Yield each camera's id, its model, and its width, height and parameters."""
    for line in _lines(path):
        parts = line.split()
        if not parts:
            continue
        if len(parts) < 5:
            raise InputError(
                f"{path}: a line of a camera has an id, model, width, height, parameters: {line!r}"
            )
        number, model, *rest = parts
        yield number, model, _numbers(path, rest, line) if model in MODELS else []


def _make_lenses(
    path: Path, cameras: Iterable[tuple[str, str, Sequence[float]]]
) -> Iterator[tuple[str, Lens]]:
    for number, model, values in cameras:
        if model not in MODELS:
            raise InputError(
                f"{path}: the camera model {model} is not known here (known: {', '.join(MODELS)}): undistort "
                "the pictures with colmap image_undistorter"
            )
        names = MODELS[model]
        if len(values) != 2 + len(names):
            raise InputError(
                f"{path}: {model} has {len(names)} parameters ({', '.join(names)}), not {len(values) - 2}"
            )
        yield (
            number,
            make_lens(path, model, int(values[0]), int(values[1]), dict(zip(names, values[2:], strict=True))),
        )


def make_lens(path: Path, model: str, width: int, height: int, values: dict[str, float]) -> Lens:
    """Make a lens of named parameters: f or fx and fy, cx, cy, k1 …, p1, p2.

    Raises:
        InputError: a focal length isn't positive.
    """
    fx, fy = values.get("fx", values.get("f", 0.0)), values.get("fy", values.get("f", 0.0))
    if not (fx > 0 and fy > 0):
        raise InputError(f"{path}: a focal length must be above 0, not {min(fx, fy):g}")
    k = [values.get(f"k{i}", 0.0) for i in range(1, 7)]
    full = model == "FULL_OPENCV"
    return Lens(
        width, height, fx, fy, values["cx"], values["cy"],
        radial=tuple(k[:3] if full else k[:4]),
        rational=tuple(k[3:]) if full else (),
        tangential=(values.get("p1", 0.0), values.get("p2", 0.0)),
        fisheye="FISHEYE" in model,
    )  # fmt: skip


def _read_images(path: Path) -> Iterator[tuple[str, str, list[float]]]:
    """Yield each picture's name, its camera's id, and its quaternion and shift."""
    expects_points = False
    for line in _lines(path):
        parts = line.split()
        if expects_points and _are_points(parts):
            expects_points = False
            continue
        if not parts:
            continue
        if len(parts) < 10:
            raise InputError(f"{path}: a line of a picture has 10 parts, not {len(parts)}: {line[:80]!r}")
        name = line.split(maxsplit=9)[9].strip()
        yield name, parts[8], _numbers(path, parts[1:8], line)
        expects_points = True


def _are_points(parts: list[str]) -> bool:
    try:
        return len(parts) % 3 == 0 and all(math.isfinite(float(part)) for part in parts)
    except ValueError:
        return False


def _invert(values: np.ndarray, what: str) -> np.ndarray:
    """Turn quaternion and shift, world to camera, into camera to world (4, 4)."""
    if not np.isfinite(values).all() or not np.linalg.norm(values[:4]) > 1e-9:
        raise InputError(
            f"{what} is not finite, or its quaternion is 0: this camera was not found, leave it out"
        )
    unit = values[:4] / np.linalg.norm(values[:4])
    turned = np.array(rotation_entries(*unit)).reshape(3, 3)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turned.T, -turned.T @ values[4:]
    return check_pose(pose, what)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read: {in_one_line(error)}") from error
    return [line for line in lines if not line.lstrip().startswith("#")]


def _numbers(path: Path, parts: list[str], line: str) -> list[float]:
    try:
        return [float(part) for part in parts]
    except ValueError as error:
        raise InputError(f"{path}: numbers are expected in {line[:80]!r}") from error
