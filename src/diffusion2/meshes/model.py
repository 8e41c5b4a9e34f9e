"""A model of nodes, skins, morph targets and clips, and its poses.

A posed model is plain arrays in the project's world axes (z up, the model's front, glTF +z, towards
azimuth 0). Source: glTF 2.0 specification, section 3.7.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from diffusion2.errors import InputError
from diffusion2.meshes.animation import Clip, compose_transform
from diffusion2.meshes.materials import Material
from diffusion2.meshes.textures import Texture

# glTF is y up with its front on +z; ours is z up with the reference camera on +x.
WORLD_FROM_GLTF = np.array([[0, 0, 1.0], [1.0, 0, 0], [0, 1.0, 0]])
SKEW_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Primitive:
    """One material's triangles of one mesh node, at rest.

    Attributes:
        node: the node it hangs on.
        skin: index of the skin that moves it, or None.
        positions: (P, 3) float64.
        normals: (P, 3) float64.
        triangles: (T, 3) int32.
        colors: (P, 3) linear vertex colours times the material's base colour, in [0, 1].
        uvs: (P, 2) texture coordinates, v down.
        texture: what the colours are multiplied by, or None.
        joints: (P, K) indices into the skin's joints; None without a skin.
        weights: (P, K) rows that sum to 1; None without a skin.
        targets: (M, P, 3) morph displacements of the positions; M may be 0.
        normal_targets: (M, P, 3) morph displacements of the normals, where there are any.
        alphas: (P,) opacity of the vertices in [0, 1]; None where all are opaque.
        flat: the file has no normals, and the triangles are drawn flat.
        material: how it is drawn.
        front_only: (T,) bool, the triangles that are not seen from behind; None where all are, and
            where a transparent material says it for all.
        emission: (3,) linear light that it sends out, or None; may be above 1.
        emission_texture: what the emission is multiplied by, or None.
        emission_uvs: (P, 2) where that texture lies; None without one.
    """

    node: int
    skin: int | None
    positions: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    colors: np.ndarray
    uvs: np.ndarray
    texture: Texture | None
    joints: np.ndarray | None
    weights: np.ndarray | None
    targets: np.ndarray
    normal_targets: np.ndarray | None = None
    alphas: np.ndarray | None = None
    flat: bool = False
    material: Material = Material()
    front_only: np.ndarray | None = None
    emission: np.ndarray | None = None
    emission_texture: Texture | None = None
    emission_uvs: np.ndarray | None = None


@dataclass(frozen=True)
class Node:
    """A node's rest pose: its parent, its transform, its morph weights."""

    parent: int
    translation: np.ndarray
    rotation: np.ndarray
    scale: np.ndarray
    matrix: np.ndarray | None
    morph_weights: np.ndarray


@dataclass(frozen=True)
class Skin:
    """Joint nodes and their (J, 4, 4) inverse bind matrices."""

    joints: list[int]
    inverse_bind: np.ndarray


@dataclass(frozen=True)
class PosedPrimitive:
    """Where a primitive is in one pose.

    Attributes:
        positions: (P, 3) in world axes.
        normals: (P, 3) unit vectors in world axes.
        mirrored: a mirroring turned its triangles inside out: what was counter-clockwise is clockwise.
    """

    positions: np.ndarray
    normals: np.ndarray
    mirrored: bool


@dataclass(frozen=True)
class AnimatedModel:
    """A glTF model that can be posed.

    Attributes:
        name: the file's stem.
        primitives: what is drawn.
        clips: its animations by name, in the file's order.
        front_deg: the azimuth in world axes that its front looks to.
    """

    name: str
    primitives: list[Primitive] = field(repr=False)
    clips: dict[str, Clip] = field(repr=False)
    nodes: list[Node] = field(repr=False)
    skins: list[Skin] = field(repr=False)
    order: list[int] = field(repr=False)
    front_deg: float = 0.0

    def pose(self, clip: str | None = None, seconds: float = 0.0) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return positions (P, 3) and unit normals (P, 3) of each primitive in world axes.

        Args:
            clip: name of an animation; None for the rest pose.
            seconds: time in the animation.
        """
        return [(part.positions, part.normals) for part in self.posed(clip, seconds)]

    def posed(self, clip: str | None = None, seconds: float = 0.0) -> list[PosedPrimitive]:
        """Return each primitive as it is at a time of a clip, or at rest.

        Where a file's numbers are too large, the positions are not finite.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return self._posed(clip, seconds)

    def _posed(self, clip: str | None, seconds: float) -> list[PosedPrimitive]:
        globals_, morphs = self._node_state(clip, seconds)
        skins: dict[int, np.ndarray] = {}
        posed = []
        for primitive in self.primitives:
            positions, normals = _morph(primitive, morphs[primitive.node])
            if primitive.skin is None:
                matrix = globals_[primitive.node]
                positions = positions @ matrix[:3, :3].T + matrix[:3, 3]
                turn = matrix[:3, :3]
                normals = normals @ (turn if keep_angles(turn) else normal_matrix(turn)).T
                mirrored = bool(np.linalg.det(turn) < 0)
            else:
                if primitive.skin not in skins:
                    skin = self.skins[primitive.skin]
                    skins[primitive.skin] = np.stack([globals_[j] for j in skin.joints]) @ skin.inverse_bind
                positions, normals, mirrored = _skin(primitive, positions, normals, skins[primitive.skin])
            normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
            posed.append(PosedPrimitive(positions @ WORLD_FROM_GLTF.T, normals @ WORLD_FROM_GLTF.T, mirrored))
        return posed

    def _node_state(self, clip: str | None, seconds: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
        moved: dict[tuple[int, str], np.ndarray] = {}
        if clip is not None:
            if clip not in self.clips:
                raise InputError(
                    f"{self.name} has no clip {clip!r}; it has: {', '.join(self.clips) or 'none'}"
                )
            moved = {(c.node, c.path): c.at(seconds) for c in self.clips[clip].channels}
        globals_: list[np.ndarray] = [np.eye(4)] * len(self.nodes)
        morphs = [moved.get((i, "weights"), node.morph_weights) for i, node in enumerate(self.nodes)]
        for i in self.order:
            node = self.nodes[i]
            animated = any((i, path) in moved for path in ("translation", "rotation", "scale"))
            if node.matrix is not None and not animated:
                local = node.matrix
            else:
                local = compose_transform(
                    moved.get((i, "translation"), node.translation),
                    moved.get((i, "rotation"), node.rotation),
                    moved.get((i, "scale"), node.scale),
                )
            globals_[i] = globals_[node.parent] @ local if node.parent >= 0 else local
        return globals_, morphs


def stretch(model: AnimatedModel, factors: np.ndarray) -> AnimatedModel:
    """Stretch a model, in all its poses, along the axes of its file (x to its left, y up, z to its front).

    Args:
        model: shares its primitives with the result.
        factors: (3,), not zero; a negative one mirrors.
    """
    root, none = len(model.nodes), np.zeros(3)
    nodes = [replace(node, parent=root) if node.parent < 0 else node for node in model.nodes]
    nodes.append(Node(-1, none, np.array([0, 0, 0, 1.0]), np.asarray(factors), None, np.zeros(0)))
    return replace(model, nodes=nodes, order=[root, *model.order])


def keep_angles(matrices: np.ndarray) -> bool:
    """Tell whether (..., 3, 3) matrices only turn, mirror and scale evenly."""
    gram = matrices @ np.swapaxes(matrices, -1, -2)
    size = np.trace(gram, axis1=-2, axis2=-1)[..., None, None] / 3
    return bool((np.abs(gram - size * np.eye(3)) <= SKEW_TOLERANCE * size).all())


def normal_matrix(matrices: np.ndarray) -> np.ndarray:
    """Return what carries normals along with points that (..., 3, 3) matrices carry, up to their length.

    It is the cofactor matrix times the determinant's sign, which exists also where there is no inverse.
    """
    a, b, c = matrices[..., 0], matrices[..., 1], matrices[..., 2]
    bc = np.cross(b, c)
    sign = np.where(np.einsum("...i,...i->...", a, bc) < 0, -1.0, 1.0)[..., None, None]
    return np.stack([bc, np.cross(c, a), np.cross(a, b)], axis=-1) * sign


def _morph(primitive: Primitive, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add up the morph displacements; targets without a weight count for nothing."""
    positions, normals = primitive.positions, primitive.normals
    if not len(primitive.targets):
        return positions, normals
    weights = weights[: len(primitive.targets)]
    used = np.nonzero(weights)[0]
    if len(used):
        positions = positions + np.einsum("m,mpi->pi", weights[used], primitive.targets[used])
        if primitive.normal_targets is not None:
            normals = normals + np.einsum("m,mpi->pi", weights[used], primitive.normal_targets[used])
    return positions, normals


def _skin(
    primitive: Primitive, positions: np.ndarray, normals: np.ndarray, joints: np.ndarray
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Move each vertex by the weighted mean of its joints' (J, 4, 4) matrices."""
    assert primitive.joints is not None
    assert primitive.weights is not None
    matrices = np.einsum("pk,pkij->pij", primitive.weights, joints[primitive.joints][:, :, :3])
    turns = matrices[:, :, :3]
    if not keep_angles(joints[:, :3, :3]):
        turns = normal_matrix(turns)
    normals = np.einsum("pij,pj->pi", turns, normals)
    positions = np.einsum("pij,pj->pi", matrices[:, :, :3], positions) + matrices[:, :, 3]
    share = np.bincount(primitive.joints.ravel(), primitive.weights.ravel(), len(joints))
    return positions, normals, bool(share @ np.sign(np.linalg.det(joints[:, :3, :3])) < 0)
