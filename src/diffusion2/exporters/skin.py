"""The motion of a mesh as bones: what game engines and Blender play.

A deformation field interpolates between nodes a shift and a turn, see `gaussians/posing.py`; a skin
interpolates between bones the places that they would move a vertex to. With a bone for every node both differ
only where neighbouring nodes turn differently.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion2.events import Report, Warned
from diffusion2.exporters.keys import BONES_PER_FRAME, key_times
from diffusion2.gaussians.deformation import DeformationField, spread_nodes
from diffusion2.gaussians.mesh import Mesh4D
from diffusion2.gaussians.posing import NEIGHBOURS, follow_nearest, follow_own, pose
from diffusion2.quaternions import rotation_matrices

BONES = 256
"""For a field without nodes; an index of a bone is then a byte."""
TOLERANCE = 0.02
"""Share of the extent; where bones are off by more, that is said."""
_CHUNK = 16
"""Moments that are measured together."""


@dataclass(frozen=True)
class Skin:
    """K bones that move P vertices at T key times.

    Attributes:
        places: (K, 3) where the bones are in the canonical space, unturned.
        joints: (P, 4) int64, the bones that a vertex follows; 0 where its weight is 0.
        weights: (P, 4), rows that sum to 1.
        translations: (T, K, 3) where the bones are.
        rotations: (T, K, 4) unit quaternions wxyz, with w > 0.
    """

    places: Tensor
    joints: Tensor
    weights: Tensor
    translations: Tensor
    rotations: Tensor

    def move(self, vertices: Tensor, keys: slice = slice(None)) -> Tensor:
        """Move canonical vertices (P, 3) to where they are at some of the key times: (T, P, 3)."""
        turns = rotation_matrices(self.rotations[keys])
        shifts = self.translations[keys] - (turns @ self.places[..., None])[..., 0]
        moved = torch.einsum("tpkij,pj->tpki", turns[:, self.joints], vertices) + shifts[:, self.joints]
        return (moved * self.weights[..., None]).sum(2)


def make_moving_skin(mesh: Mesh4D, field: DeformationField, report: Report) -> tuple[Tensor, Skin]:
    """Turn the motion of a mesh into that of bones at key times (T,), and say where they are off."""
    times = key_times(mesh.metadata, BONES_PER_FRAME)
    skin = make_skin(mesh.vertices, field, times)
    off = largest_error(skin, mesh, times)
    if off > TOLERANCE:
        report(
            Warned(
                f"bones move the mesh up to {off:.1%} of its size off: --animation morph is exact, and larger"
            )
        )
    return times, skin


@torch.no_grad()
def make_skin(vertices: Tensor, field: DeformationField, times: Tensor) -> Skin:
    """Turn a field's motion of vertices (P, 3) at (T,) times into that of bones.

    A field with nodes has a bone for each; for one without, bones are spread over the vertices.
    """
    if field.settings.nodes:
        places, blend = field.nodes, field.follow(vertices)
    else:
        places = spread_nodes(vertices, BONES)
        blend = follow_nearest(vertices, places)
    unturned = torch.zeros(len(places), 4)
    unturned[:, 0] = 1
    outputs = field.evaluate(places, times)[..., :6]
    posed = pose(outputs, places, unturned, follow_own(len(places), places.device))
    joints, weights = blend.index.long(), blend.weights.double()
    missing = NEIGHBOURS - joints.shape[1]
    joints = torch.nn.functional.pad(joints, (0, missing))
    weights = torch.nn.functional.pad(weights / weights.sum(1, keepdim=True), (0, missing)).float()
    return Skin(places, joints.masked_fill(weights == 0, 0), weights, posed.means, posed.quats)


def largest_error(skin: Skin, mesh: Mesh4D, times: Tensor) -> float:
    """Measure how far the skin moves a vertex from where the field does, at its key times (T,).

    Returns:
        The largest distance, as a share of the mesh's extent.
    """
    worst = 0.0
    for first in range(0, len(times), _CHUNK):
        part = slice(first, first + _CHUNK)
        away = (skin.move(mesh.vertices, part) - mesh.move(times[part])).norm(dim=-1)
        worst = max(worst, float(away.max()))
    extent = (mesh.vertices.amax(0) - mesh.vertices.amin(0)).max()
    return worst / float(extent)
