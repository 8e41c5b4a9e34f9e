"""Other proportions for models with joints: longer legs, a larger head, a thinner tail.

Each joint is scaled with what is bound to it, along its bone and across. What hangs on it is moved along, but
keeps a size of its own, so that one model becomes as many animals as wanted, in all its poses.
"""

from dataclasses import replace

import numpy as np

from diffusion2.meshes import AnimatedModel
from diffusion2.meshes.animation import Channel
from diffusion2.meshes.model import Node

WAVES = 4
LARGEST_WAVE = 8.0
"""Radians over the longest side of all joints together: neighbours are scaled alike."""
SIZE_DEVIATION, LENGTH_DEVIATION = 0.3, 0.2
"""Of the logarithms of a joint's size, and of its length beside its width."""


def reproportioned(model: AnimatedModel, rng: np.random.Generator) -> AnimatedModel:
    """Scale a model's joints at random, the same on its left and right; one without joints stays as it is.

    Args:
        model: shares its primitives with the result; bones lie along the second axis of their joints, as
            modelling programs write them.
        rng: decides everything.
    """
    places = _bound_places(model)
    if not places:
        return model
    points = np.stack(list(places.values()))
    size, length = (deviation * _field(points, rng) for deviation in (SIZE_DEVIATION, LENGTH_DEVIATION))
    logs = size[:, None] + length[:, None] * np.array([-0.5, 1.0, -0.5])
    return _scaled(model, dict(zip(places, np.exp(logs), strict=True)))


def _bound_places(model: AnimatedModel) -> dict[int, np.ndarray]:
    """Find where each joint is when the mesh is bound to it, in the file's axes, by its node."""
    places = {}
    for skin in model.skins:
        for joint, bind in zip(skin.joints, skin.inverse_bind, strict=True):
            places[joint] = np.linalg.pinv(bind)[:3, 3]
    return places


def _field(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give each point (N, 3) a number of a deviation up to 1: a sum of waves, even from left to right (x)."""
    low, high = points.min(0), points.max(0)
    places = (points - (low + high) / 2) / max(float((high - low).max()), 1e-9)
    waves = rng.uniform(-LARGEST_WAVE, LARGEST_WAVE, (WAVES, 3))
    phases = rng.uniform(0, 2 * np.pi, WAVES)
    along = places[:, 1:] @ waves[:, 1:].T + phases
    return (np.sin(along) * np.cos(places[:, :1] * waves[:, 0])).sum(1) * (2 / WAVES) ** 0.5


def _scaled(model: AnimatedModel, factors: dict[int, np.ndarray]) -> AnimatedModel:
    """Scale joints by factors (3,) in their own axes, and what hangs on them that is no joint.

    Behind each joint comes a node that holds its scale. Meshes are bound to that one; the joints that hang on
    it stay with the first, at a scaled distance.
    """
    count = len(model.nodes)
    scales = {joint: count + k for k, joint in enumerate(factors)}
    nodes = [_moved(node, i in factors, factors, scales) for i, node in enumerate(model.nodes)]
    for joint, factor in factors.items():
        nodes.append(Node(joint, np.zeros(3), np.array([0, 0, 0, 1.0]), factor, None, np.zeros(0)))
    order = [node for i in model.order for node in ([i, scales[i]] if i in scales else [i])]
    clips = {
        name: replace(clip, channels=[_moved_channel(c, model, factors) for c in clip.channels])
        for name, clip in model.clips.items()
    }
    skins = [replace(skin, joints=[scales[joint] for joint in skin.joints]) for skin in model.skins]
    return replace(model, nodes=nodes, order=order, clips=clips, skins=skins)


def _moved(node: Node, is_joint: bool, factors: dict[int, np.ndarray], scales: dict[int, int]) -> Node:
    if node.parent not in factors:
        return node
    if not is_joint:
        return replace(node, parent=scales[node.parent])
    factor = factors[node.parent]
    matrix = node.matrix
    if matrix is not None:
        matrix = matrix.copy()
        matrix[:3, 3] *= factor
    return replace(node, translation=node.translation * factor, matrix=matrix)


def _moved_channel(channel: Channel, model: AnimatedModel, factors: dict[int, np.ndarray]) -> Channel:
    parent = model.nodes[channel.node].parent
    if channel.path != "translation" or parent not in factors or channel.node not in factors:
        return channel
    return replace(channel, values=channel.values * factors[parent])
