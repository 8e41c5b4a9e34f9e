"""What the lifter learns from: objects in random poses, drawn from random cameras when they are needed.

Drawing five views and the reference's depths takes about as long as a third of what the network takes to
learn from them, so no picture is ever seen twice and none is kept. Every scene is one frozen pose.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusion2.cameras import Cameras, make_cameras
from diffusion2.errors import InputError
from diffusion2.meshes import (
    AnimatedModel,
    Lighting,
    MeshRenderer,
    load_model,
    stretch,
)
from diffusion2.training.data import SIZE, pose_framing, random_recolor, read_split
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
OBJECT_SIZES = (0.55, 0.92)
"""Of the frame, along the longer side of the object in the reference view."""
STRETCH = 0.2
"""Deviation of the logarithm of how much a model is stretched along each axis."""
RECOLOURED_SHARE, PALE_SHARE = 0.6, 0.1


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


Draw = Callable[[np.random.Generator], Scene]


class AssetScenes:
    """Scenes of the models of a split.

    Args:
        assets: folder with the models and `PROVENANCE.tsv`.
        split: "train" or "val".
        animated_share: share of scenes of animated models: creatures are what the pair is for.
    """

    def __init__(self, assets: Path, split: str, animated_share: float = 0.75) -> None:
        self._assets, self._animated_share = assets, animated_share
        found = read_split(assets, split)
        self._files = {kind: [file for file, k in found if k == kind] for kind in ("animated", "static")}
        wanted = {"animated": animated_share, "static": 1 - animated_share}
        if any(share > 0 and not self._files[kind] for kind, share in wanted.items()):
            raise InputError(f"{assets / 'PROVENANCE.tsv'} lists no animated or no static models to {split}")
        self._renderers: dict[str, tuple[AnimatedModel, MeshRenderer]] = {}

    def __call__(self, rng: np.random.Generator) -> Scene:
        """Draw a scene."""
        files = self._files["animated" if rng.random() < self._animated_share else "static"]
        file = files[rng.integers(len(files))]
        if file not in self._renderers:
            model = load_model(self._assets / file)
            self._renderers[file] = model, MeshRenderer(model, SIZE)
        return draw_scene(*self._renderers[file], rng)


def procedural_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene of a creature that no file has and that never comes again."""
    model = procedural_creature(int(rng.integers(2**31)))
    renderer = MeshRenderer(model, SIZE)
    try:
        return draw_scene(model, renderer, rng)
    finally:
        renderer.close()


class MixedScenes:
    """Scenes of models from files and of procedural creatures.

    Args:
        from_files: draws the former.
        procedural_share: of the latter.
    """

    def __init__(self, from_files: Draw, procedural_share: float) -> None:
        self._from_files, self._procedural_share = from_files, procedural_share

    def __call__(self, rng: np.random.Generator) -> Scene:
        """Draw a scene."""
        draw = procedural_scene if rng.random() < self._procedural_share else self._from_files
        return draw(rng)


def draw_scene(model: AnimatedModel, renderer: MeshRenderer, rng: np.random.Generator) -> Scene:
    """Draw a random pose of a model in random colours and light, framed by itself.

    Args:
        model: what is drawn.
        renderer: of this model.
        rng: decides everything.
    """
    clip = str(rng.choice(list(model.clips))) if model.clips else None
    seconds = float(rng.uniform(0, model.clips[clip].duration)) if clip else 0.0
    elevation = float(np.clip(rng.normal(ELEVATION_DEG, ELEVATION_SPREAD_DEG), *ELEVATIONS_DEG))
    faces_front = model.clips and rng.random() < FRONT_SHARE
    azimuth = float(rng.uniform(-FRONT_DEG, FRONT_DEG) if faces_front else rng.uniform(0, 360))
    renderer.model = stretch(model, _random_factors(rng))
    around = _random_cameras(elevation, azimuth, rng)
    framing = pose_framing(renderer.model, clip, seconds, around[0], float(rng.uniform(*OBJECT_SIZES)), rng)
    light = Lighting(azimuth + rng.normal(0, LIGHT_SPREAD_DEG), rng.uniform(20, 80), rng.uniform(0.45, 0.9))
    pictures = renderer.render(around, framing, clip, seconds, light, _random_colours(model, rng))
    depths = renderer.depths(around[0], framing, clip, seconds)[0]
    return Scene(
        torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255,
        make_cameras(around.azimuths_deg - azimuth, around.elevations_deg, height=SIZE),
        torch.from_numpy(depths),
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
