"""Rendering what the mini pair learns from: single-view clips and static orbits.

The objects are models from files, and creatures that a generator makes of a seed.

Two sets that never share anything but the objects: the video set holds one clip from one camera an
item, the multi-view set one frozen pose from an orbit of cameras an item. No item, and no pair of
items of the two sets, is a synchronised multi-view video: there is no 4D data here.
"""

import csv
import json
import multiprocessing
import os
import re
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from diffusion2.cameras import Cameras, make_cameras, orbit
from diffusion2.errors import InputError
from diffusion2.meshes import (
    AnimatedModel,
    Framing,
    Lighting,
    MeshRenderer,
    frame_points,
    frame_reference,
    load_model,
)
from diffusion2.meshes.ground_truth import is_same_pose
from diffusion2.pictures import pixels_on_white
from diffusion2.training.procedural import procedural_creature

SIZE = 128
LENGTH = 12
LARGEST = 0.97
"""What a pose may take of the frame from any side; see `frame_reference`."""
OFF_CENTRE = 0.4
"""How far a pose may be off the middle, as a share of the room that it leaves in the frame."""
ELEVATIONS_DEG = (-10.0, 30.0)
CLIPS_PER_ANIMATION = {"train": 6, "val": 3, "procedural": 1}
ORBITS_PER_STATIC = {"train": 10, "val": 3}
ORBITS_PER_ANIMATED = {"train": 30, "val": 10, "procedural": 2}
"""Of procedural creatures there are as many as wanted: rather more of them than more of each."""
PROCEDURAL_FILE = re.compile(r"procedural/(\d+)")
"""What stands for a file where an object is a procedural creature: its seed."""


@dataclass(frozen=True)
class Item:
    """One sequence of pictures, as planned before it is rendered.

    Attributes:
        file: the model, relative to the assets folder, or "procedural/SEED".
        clip: its animation; None for the rest pose.
        start: seconds into the clip of the first (or only) pose.
        duration: seconds that the sequence covers; 0 for an orbit.
        azimuth_deg: camera of a clip, or the reference camera of an orbit.
        elevation_deg: elevation of all its cameras.
        object_size: how much of the frame the object may fill.
        fps: frames per second of a clip; 0 for an orbit.
        seed: of colours and light.
    """

    file: str
    clip: str | None
    start: float
    duration: float
    azimuth_deg: float
    elevation_deg: float
    object_size: float
    fps: float
    seed: int


def read_split(assets: Path, split: str) -> list[tuple[str, str]]:
    """List (file, kind) of one split from the assets folder's `PROVENANCE.tsv`; kind: animated or static."""
    table = assets / "PROVENANCE.tsv"
    if not table.is_file():
        raise InputError(f"{table} does not exist: --assets must be a folder of models with that table")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [(row["file"], row["kind"]) for row in rows if row["split"] == split]


def load_item_model(file: str, assets: Path | None) -> AnimatedModel:
    """Load or make the model of an item.

    Args:
        file: relative to the assets folder, or "procedural/SEED".
        assets: folder with the models; None where there are only procedural creatures.

    Raises:
        InputError: the file can't be read, or there is no folder.
    """
    if match := PROCEDURAL_FILE.fullmatch(file):
        return procedural_creature(int(match[1]))
    if assets is None:
        raise InputError(f"{file} is no procedural creature: give the folder that it is in with --assets")
    return load_model(assets / file)


def plan_videos(model: AnimatedModel, file: str, split: str) -> list[Item]:
    """Plan single-view clips of every animation of a model, each from its own random camera."""
    items = []
    for clip in model.clips.values():
        if clip.duration < 1e-3:
            continue
        for k in range(CLIPS_PER_ANIMATION[split]):
            rng = _rng(file, clip.name, "video", k)
            loops = is_same_pose(model, clip.name, 0.0, clip.duration)
            window = clip.duration if clip.duration <= 1.2 else min(clip.duration, rng.uniform(0.8, 2.0))
            start = rng.uniform(0, clip.duration if loops else max(clip.duration - window, 0.0))
            items.append(_item(file, clip.name, start, window, LENGTH / window, rng))
    return items


def plan_orbits(model: AnimatedModel, file: str, split: str) -> list[Item]:
    """Plan orbits around frozen poses: several poses of an animated model, several orbits of a static one."""
    count = (ORBITS_PER_ANIMATED if model.clips else ORBITS_PER_STATIC)[split]
    items = []
    for k in range(count):
        rng = _rng(file, "", "orbit", k)
        clip = str(rng.choice(list(model.clips))) if model.clips else None
        start = rng.uniform(0, model.clips[clip].duration) if clip else 0.0
        items.append(_item(file, clip, start, 0.0, 0.0, rng))
    return items


def _rng(file: str, clip: str, kind: str, k: int) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(f"{file}|{clip}|{kind}|{k}".encode()))


def _item(
    file: str, clip: str | None, start: float, duration: float, fps: float, rng: np.random.Generator
) -> Item:
    return Item(
        file=file,
        clip=clip,
        start=float(start),
        duration=float(duration),
        azimuth_deg=float(rng.uniform(0, 360)),
        elevation_deg=float(rng.uniform(*ELEVATIONS_DEG)),
        object_size=float(rng.uniform(0.75, 0.95)),
        fps=float(fps),
        seed=int(rng.integers(2**31)),
    )


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


def render_item(model: AnimatedModel, renderer: MeshRenderer, item: Item) -> np.ndarray:
    """Render an item as (LENGTH, SIZE, SIZE, 3) uint8 on white; an orbit's last view is its reference."""
    rng = np.random.default_rng(item.seed)
    lighting = Lighting(rng.uniform(0, 360), rng.uniform(30, 70), rng.uniform(0.55, 0.8))
    recolor = random_recolor(len(model.primitives), rng) if rng.random() < 0.6 else None
    if item.fps == 0:
        cameras = orbit(LENGTH, item.elevation_deg, height=SIZE)
        cameras = make_cameras(cameras.azimuths_deg + item.azimuth_deg, item.elevation_deg, height=SIZE)
        framing = pose_framing(model, item.clip, item.start, cameras[-1], item.object_size, rng)
        lighting = Lighting(lighting.azimuth_deg + item.azimuth_deg, lighting.elevation_deg, lighting.ambient)
        return pixels_on_white(renderer.render(cameras, framing, item.clip, item.start, lighting, recolor))
    assert item.clip is not None
    camera = make_cameras([item.azimuth_deg], item.elevation_deg, height=SIZE)
    framing = clip_framing(model, item.clip, item.object_size)
    length = model.clips[item.clip].duration
    frames = []
    for k in range(LENGTH):
        seconds = item.start + item.duration * k / LENGTH
        seconds = seconds if seconds <= length else seconds - length
        frames.append(renderer.render(camera, framing, item.clip, seconds, lighting, recolor)[0])
    return pixels_on_white(np.stack(frames))


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


def build_set(source: Path | int, split: str, kind: str, out: Path, processes: int = 2) -> Path:
    """Render one set of a split, or take up where an earlier call stopped.

    Args:
        source: folder with the models and `PROVENANCE.tsv`; or how many procedural creatures, from seed 0.
        split: "train" or "val" of the folder; "procedural".
        kind: "video" (single-view clips) or "orbit" (static orbits).
        out: folder for `{split}_{kind}.npy` (N, LENGTH, SIZE, SIZE, 3) uint8 and `.json`, its items; the
            names of procedural sets have the number of creatures, too.
        processes: how many render at once.

    Returns:
        The path of the `.npy`.
    """
    out.mkdir(parents=True, exist_ok=True)
    assets = None if isinstance(source, int) else source
    name = f"{split}{source}_{kind}" if isinstance(source, int) else f"{split}_{kind}"
    target, index = out / f"{name}.npy", out / f"{name}.json"
    if index.is_file() and target.is_file():
        return target
    if isinstance(source, int):
        files = [f"procedural/{seed:06d}" for seed in range(source)]
    else:
        files = [f for f, k in read_split(source, split) if k == "animated" or kind == "orbit"]
    chunks = [(assets, split, files[k::processes], kind, out / f".{name}_{k}") for k in range(processes)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        parts = pool.starmap(_build_part, chunks)
    items = [item for part_items, _ in parts for item in part_items]
    partial = target.with_suffix(".partial")
    images = np.lib.format.open_memmap(
        partial, mode="w+", dtype=np.uint8, shape=(len(items), LENGTH, SIZE, SIZE, 3)
    )
    start = 0
    for part_items, path in parts:
        for k in range(len(part_items)):
            images[start + k] = np.load(path / f"{k:06d}.npy")
        start += len(part_items)
    images.flush()
    os.replace(partial, target)
    index.with_suffix(".tmp").write_text(json.dumps([asdict(item) for item in items]))
    os.replace(index.with_suffix(".tmp"), index)
    for part_items, path in parts:
        for k in range(len(part_items)):
            (path / f"{k:06d}.npy").unlink()
        path.rmdir()
    return target


def _build_part(
    assets: Path | None, split: str, files: list[str], kind: str, out: Path
) -> tuple[list[Item], Path]:
    out.mkdir(exist_ok=True)
    items: list[Item] = []
    for file in files:
        model = load_item_model(file, assets)
        planned = (plan_videos if kind == "video" else plan_orbits)(model, file, split)
        renderer = MeshRenderer(model, SIZE)
        for item in planned:
            path = out / f"{len(items):06d}.npy"
            if not path.is_file():
                partial = path.with_suffix(".partial")
                with partial.open("wb") as stream:
                    np.save(stream, render_item(model, renderer, item))
                os.replace(partial, path)
            items.append(item)
        renderer.close()
    return items, out


def read_items(index: Path) -> list[Item]:
    """Read the items of a rendered set from its `.json`."""
    return [Item(**item) for item in json.loads(index.read_text())]
