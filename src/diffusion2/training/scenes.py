"""What the pair learns from: objects drawn when they are needed, as scenes, orbits or clips.

Drawing takes a small part of the time that a network takes to learn from the pictures, so none is ever seen
twice and none is kept. A scene or an orbit is one frozen pose, a clip is seen from one camera: nothing that
is drawn, and no two things, are a synchronised multi-view video. There is no 4D data here.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from diffusion2.cameras import Cameras, make_cameras, orbit
from diffusion2.errors import InputError
from diffusion2.meshes import (
    AnimatedModel,
    Lighting,
    MeshRenderer,
    load_model,
    stretch,
)
from diffusion2.pictures import from_pixels
from diffusion2.training.data import (
    LENGTH,
    SIZE,
    choose_window,
    clip_framing,
    pose_framing,
    random_recolor,
    read_split,
)
from diffusion2.training.procedural import procedural_creature

VIEWS = 5
"""Of a scene; the first is the reference."""
ELEVATION_DEG, ELEVATION_SPREAD_DEG, ELEVATIONS_DEG = 10.0, 12.0, (-15.0, 45.0)
"""People's pictures are mostly taken from a little above."""
LIGHT_SPREAD_DEG = 60.0
"""Deviation of the light's azimuth from the reference camera's: people have the light behind them."""
FRONT_SHARE, FRONT_DEG = 0.5, 75.0
"""Share of references of creatures that see them from about their front, and how far from it at most."""
OWN_ELEVATION_SHARE = 0.4
"""Share of the other views that do not have the reference's elevation."""
OBJECT_SIZES = (0.4, 0.92)
"""Of the frame, along the longer side of the object in the reference view."""
STRETCH = 0.2
"""Deviation of the logarithm of how much a model is stretched along each axis."""
RECOLOURED_SHARE, PALE_SHARE = 0.6, 0.1
ANIMATED_SHARE = 0.75
VARIED_SHARE = 0.75
"""Of draws of models to train on."""
CLIP_SIZES = (0.75, 0.95)
"""Share of the frame that all poses of a clip fill together, from all sides."""
SHORTEST_S = 1e-3
"""Animations shorter than this are poses."""


@dataclass(frozen=True)
class Scene:
    """A frozen pose from several sides.

    Attributes:
        pictures: (V, 4, S, S) straight RGB and alpha in [0, 1]; the first is the reference.
        cameras: V; the reference is at azimuth 0.
        depths: (2, S, S) of the reference's first and last surface, world units; NaN where nothing is.
    """

    pictures: Tensor
    cameras: Cameras
    depths: Tensor


@dataclass(frozen=True)
class Orbit:
    """A frozen pose from all around.

    Attributes:
        pictures: (V, 4, S, S) straight RGB and alpha in [0, 1].
        cameras: V of one elevation; the last is the reference, at azimuth 0.
    """

    pictures: Tensor
    cameras: Cameras


@dataclass(frozen=True)
class Clip:
    """A motion from one camera.

    Attributes:
        pictures: (T, 4, S, S) straight RGB and alpha in [0, 1].
        fps: frames per second.
    """

    pictures: Tensor
    fps: float


Drawn = TypeVar("Drawn")
DrawModel = Callable[[AnimatedModel, MeshRenderer, np.random.Generator], Drawn]
"""Draws a model with its renderer."""
DrawOf = Callable[[np.random.Generator], Drawn]
Draw = DrawOf[Scene]
Vary = Callable[[AnimatedModel, np.random.Generator], AnimatedModel]
"""Makes another model of one, at random."""


class FromAssets(Generic[Drawn]):
    """Draws models of a split.

    Args:
        draw: `draw_scene`, `draw_orbit` or `draw_clip`.
        assets: folder with the models and `PROVENANCE.tsv`.
        split: "train" or "val".
        animated_share: share of draws of animated models: creatures are what the pair is for.
        vary: makes another model of one, at random, so that none comes again.
        varied_share: share of draws of models that are varied first.
    """

    def __init__(
        self,
        draw: DrawModel[Drawn],
        assets: Path,
        split: str,
        animated_share: float = ANIMATED_SHARE,
        vary: Vary | None = None,
        varied_share: float = VARIED_SHARE,
    ) -> None:
        self._draw, self._assets, self._vary = draw, assets, vary
        self._animated_share, self._varied_share = animated_share, varied_share
        found = read_split(assets, split)
        self._files = {kind: [file for file, k in found if k == kind] for kind in ("animated", "static")}
        wanted = {"animated": animated_share, "static": 1 - animated_share}
        if any(share > 0 and not self._files[kind] for kind, share in wanted.items()):
            raise InputError(f"{assets / 'PROVENANCE.tsv'} lists no animated or no static models to {split}")
        self._shares = {kind: _shares(files) for kind, files in self._files.items()}
        self._renderers: dict[str, tuple[AnimatedModel, MeshRenderer]] = {}

    def __call__(self, rng: np.random.Generator) -> Drawn:
        """Draw a model, any of the split."""
        kind = "animated" if rng.random() < self._animated_share else "static"
        file = self._files[kind][rng.choice(len(self._files[kind]), p=self._shares[kind])]
        if file not in self._renderers:
            model = load_model(self._assets / file)
            self._renderers[file] = model, MeshRenderer(model, SIZE)
        model, renderer = self._renderers[file]
        if self._vary is not None and rng.random() < self._varied_share:
            model = self._vary(model, rng)
        return self._draw(model, renderer, rng)


class FromGenerator(Generic[Drawn]):
    """Draws creatures that no file has and that never come again.

    Args:
        draw: see `FromAssets`.
    """

    def __init__(self, draw: DrawModel[Drawn]) -> None:
        self._draw = draw

    def __call__(self, rng: np.random.Generator) -> Drawn:
        """Make a creature and draw it."""
        model = procedural_creature(int(rng.integers(2**31)))
        renderer = MeshRenderer(model, SIZE)
        try:
            return self._draw(model, renderer, rng)
        finally:
            renderer.close()


class Mixed(Generic[Drawn]):
    """Draws models from files and procedural creatures.

    Args:
        from_files: draws the former.
        procedural: draws the latter.
        procedural_share: of the latter.
    """

    def __init__(
        self,
        from_files: DrawOf[Drawn],
        procedural: DrawOf[Drawn],
        procedural_share: float,
    ) -> None:
        self._from_files, self._procedural = from_files, procedural
        self._procedural_share = procedural_share

    def __call__(self, rng: np.random.Generator) -> Drawn:
        """Draw one of the two."""
        return (self._procedural if rng.random() < self._procedural_share else self._from_files)(rng)


def _shares(files: list[str]) -> np.ndarray:
    """Give each file its share of draws: a folder's grows with the root of how many it holds.

    Collections have many fish and few dinosaurs.
    """
    sizes = Counter(Path(file).parent for file in files)
    shares = np.array([sizes[Path(file).parent] ** -0.5 for file in files])
    return shares / shares.sum()


def draw_scene(model: AnimatedModel, renderer: MeshRenderer, rng: np.random.Generator) -> Scene:
    """Draw a random pose of a model in random colours and light, framed by itself.

    Args:
        model: what is drawn.
        renderer: of this model.
        rng: decides everything.
    """
    clip, seconds = _random_pose(model, rng)
    elevation, azimuth = _random_reference(model, rng)
    renderer.model = stretch(model, _random_factors(rng))
    around = _random_cameras(elevation, azimuth, rng)
    framing = pose_framing(renderer.model, clip, seconds, around[0], float(rng.uniform(*OBJECT_SIZES)), rng)
    light = _random_light(azimuth, rng)
    pictures = renderer.render(around, framing, clip, seconds, light, _random_colours(model, rng))
    depths = renderer.depths(around[0], framing, clip, seconds)[0]
    cameras = make_cameras(around.azimuths_deg - azimuth, around.elevations_deg, height=SIZE)
    return Scene(from_pixels(pictures), cameras, torch.from_numpy(depths))


def draw_orbit(model: AnimatedModel, renderer: MeshRenderer, rng: np.random.Generator) -> Orbit:
    """Draw a random pose from all around; see `draw_scene`."""
    clip, seconds = _random_pose(model, rng)
    elevation, azimuth = _random_reference(model, rng)
    renderer.model = stretch(model, _random_factors(rng))
    cameras = orbit(LENGTH, elevation, height=SIZE)
    around = make_cameras(cameras.azimuths_deg + azimuth, elevation, height=SIZE)
    framing = pose_framing(renderer.model, clip, seconds, around[-1], float(rng.uniform(*OBJECT_SIZES)), rng)
    light = _random_light(azimuth, rng)
    pictures = renderer.render(around, framing, clip, seconds, light, _random_colours(model, rng))
    return Orbit(from_pixels(pictures), cameras)


def draw_clip(model: AnimatedModel, renderer: MeshRenderer, rng: np.random.Generator) -> Clip:
    """Draw a random part of one of the model's animations from one camera, all of it in one frame.

    Raises:
        InputError: the model has no animation.
    """
    moving = [name for name, clip in model.clips.items() if clip.duration >= SHORTEST_S]
    if not moving:
        raise InputError("the model has no animation of which a clip could be drawn")
    name = str(rng.choice(moving))
    start, window = choose_window(model, name, rng)
    elevation, azimuth = _random_reference(model, rng)
    renderer.model = stretch(model, _random_factors(rng))
    camera = make_cameras([azimuth], elevation, height=SIZE)
    framing = clip_framing(renderer.model, name, float(rng.uniform(*CLIP_SIZES)))
    light, colours = _random_light(azimuth, rng), _random_colours(model, rng)
    length = model.clips[name].duration
    times = [start + window * k / LENGTH for k in range(LENGTH)]
    frames = [
        renderer.render(
            camera, framing, name, seconds if seconds <= length else seconds - length, light, colours
        )
        for seconds in times
    ]
    return Clip(from_pixels(np.concatenate(frames)), LENGTH / window)


def _random_pose(model: AnimatedModel, rng: np.random.Generator) -> tuple[str | None, float]:
    clip = str(rng.choice(list(model.clips))) if model.clips else None
    return clip, float(rng.uniform(0, model.clips[clip].duration)) if clip else 0.0


def _random_reference(model: AnimatedModel, rng: np.random.Generator) -> tuple[float, float]:
    """Choose the reference camera's elevation and azimuth in degrees."""
    elevation = float(np.clip(rng.normal(ELEVATION_DEG, ELEVATION_SPREAD_DEG), *ELEVATIONS_DEG))
    faces_front = model.clips and rng.random() < FRONT_SHARE
    return elevation, float(rng.uniform(-FRONT_DEG, FRONT_DEG) if faces_front else rng.uniform(0, 360))


def _random_light(azimuth_deg: float, rng: np.random.Generator) -> Lighting:
    return Lighting(
        azimuth_deg + rng.normal(0, LIGHT_SPREAD_DEG), rng.uniform(20, 80), rng.uniform(0.45, 0.9)
    )


def _random_factors(rng: np.random.Generator) -> np.ndarray:
    factors = np.exp(rng.normal(0, STRETCH, 3))
    factors[0] *= rng.choice([-1.0, 1.0])  # half of them mirror images
    return factors


def _random_cameras(elevation_deg: float, azimuth_deg: float, rng: np.random.Generator) -> Cameras:
    """Stand the others anywhere around, one in each of as many equal sectors."""
    others = VIEWS - 1
    azimuths = (np.arange(others) + rng.random(others)) * 360 / others
    own = rng.random(others) < OWN_ELEVATION_SHARE
    elevations = np.where(own, rng.uniform(*ELEVATIONS_DEG, others), elevation_deg)
    azimuths, elevations = np.concatenate([[0.0], azimuths]), np.concatenate([[elevation_deg], elevations])
    return make_cameras(azimuths + azimuth_deg, elevations, height=SIZE)


def _random_colours(model: AnimatedModel, rng: np.random.Generator) -> np.ndarray | None:
    """Turn the hues of most models; make some pale, as what people draw and white animals are."""
    if rng.random() < PALE_SHARE:
        grey = np.full((3, 3), 1 / 3)
        pale = rng.uniform(1.2, 2.5) * (grey + rng.uniform(0, 0.5) * (np.eye(3) - grey))
        return np.tile(pale, (len(model.primitives), 1, 1))
    return random_recolor(len(model.primitives), rng) if rng.random() < RECOLOURED_SHARE else None
