"""Which models there are to learn from, and how they are framed and coloured."""

import csv
from pathlib import Path

import numpy as np

from diffusion2.cameras import Cameras
from diffusion2.errors import InputError
from diffusion2.meshes import AnimatedModel, Framing, frame_points, frame_reference
from diffusion2.meshes.ground_truth import is_same_pose

SIZE = 128
LENGTH = 12
LARGEST = 0.97
"""What a pose may take of the frame from any side; see `frame_reference`."""
OFF_CENTRE = 0.4
"""How far a pose may be off the middle, as a share of the room that it leaves in the frame."""
LONGEST_S, SHORTEST_PART_S, LONGEST_PART_S = 1.2, 0.8, 2.0
"""Animations up to this long are shown whole; of longer ones a part of between so many seconds."""


def read_split(assets: Path, split: str) -> list[tuple[str, str]]:
    """List (file, kind) of one split from the assets folder's `PROVENANCE.tsv`; kind: animated or static."""
    table = assets / "PROVENANCE.tsv"
    if not table.is_file():
        raise InputError(f"{table} does not exist: --assets must be a folder of models with that table")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [(row["file"], row["kind"]) for row in rows if row["split"] == split]


def choose_window(model: AnimatedModel, clip: str, rng: np.random.Generator) -> tuple[float, float]:
    """Choose which part of an animation a clip shows: its start and its duration in seconds.

    Only one that loops is shown past its end, where it begins again.
    """
    duration = model.clips[clip].duration
    is_short = duration <= LONGEST_S
    window = duration if is_short else min(duration, rng.uniform(SHORTEST_PART_S, LONGEST_PART_S))
    loops = is_same_pose(model, clip, 0.0, duration)
    start = rng.uniform(0, duration if loops else max(duration - window, 0.0))
    return float(start), float(window)


def clip_framing(model: AnimatedModel, clip: str, object_size: float) -> Framing:
    """Frame all poses of a clip tightly: centred, as large as every camera of training allows."""
    times = np.linspace(0, model.clips[clip].duration, 8)
    points = np.concatenate([p[::3] for seconds in times for p, _ in model.pose(clip, seconds)])
    return frame_points(points, object_size)


def pose_framing(
    model: AnimatedModel,
    clip: str | None,
    seconds: float,
    reference: Cameras,
    object_size: float,
    rng: np.random.Generator,
) -> Framing:
    """Frame one pose by itself, as people frame pictures, and a little off the middle, as it may move there.

    Off the middle of the reference picture, that is, and as far from its camera: how far can't be seen in it.

    Args:
        model: what is framed.
        clip: animation; None for the rest pose.
        seconds: time in it.
        reference: the camera whose picture the object fills.
        object_size: how much of it; see `frame_reference`.
        rng: of the shift.
    """
    points = np.concatenate([positions for positions, _ in model.pose(clip, seconds)])
    framing = frame_reference([points], reference, object_size, LARGEST)
    room = (1 - object_size) * np.tan(np.deg2rad(reference.fov_deg) / 2) * reference.radii[0]
    across_and_down = reference.viewmats[0, :2, :3]
    shift = rng.uniform(-1, 1, 2) @ across_and_down * OFF_CENTRE * room
    return Framing(framing.center - shift / framing.scale, framing.scale)


def random_recolor(parts: int, rng: np.random.Generator) -> np.ndarray:
    """Return a (parts, 3, 3) colour matrix per part: one hue turn for all, a smaller one each, a gain."""
    common = rng.uniform(-np.pi, np.pi)
    angles = common + rng.normal(0, 0.5, parts)
    gains = rng.uniform(0.85, 1.2) * rng.uniform(0.9, 1.1, parts)
    axis = np.ones(3) / np.sqrt(3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    turns = [
        np.cos(a) * np.eye(3) + (1 - np.cos(a)) * np.outer(axis, axis) + np.sin(a) * cross for a in angles
    ]
    return np.stack(turns) * gains[:, None, None]
