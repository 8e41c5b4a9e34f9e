"""The rig: bones, the shapes bound to them, and the model that comes out of both."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from diffusion2.meshes.animation import Clip
from diffusion2.meshes.model import AnimatedModel, Node, Primitive, Skin
from diffusion2.training.procedural.palette import Coat, Palette
from diffusion2.training.procedural.shapes import Shape, cross

SRGB_GAMMA = 2.2  # as the renderer shows linear colours


@dataclass(frozen=True)
class Limb:
    """Bones that move together.

    Attributes:
        kind: what they are of: "leg", "arm", "wing", "fin", "tail", "neck" and so on.
        bones: from the body outwards.
        side: 1 for the creature's left (+x), -1 for its right, 0 in the middle.
        phase: its place in a gait, in turns.
        spread: how far an arm stands off from hanging down, in radians.
    """

    kind: str
    bones: list[int]
    side: int = 0
    phase: float = 0.0
    spread: float = 0.0


@dataclass(frozen=True)
class Style:
    """How a creature's surfaces look.

    Attributes:
        crease_deg: faces that meet at a smaller angle are shaded smoothly; 0 shades all of them flat.
        gradient: how much brighter than the bottom the top is.
        unevenness: spread of the brightness of single faces.
    """

    crease_deg: float = 0.0
    gradient: float = 0.0
    unevenness: float = 0.0


class Piece(NamedTuple):
    """A shape, the (T,) colours of its faces, the (P, 2) joints and weights of its vertices."""

    shape: Shape
    colors: np.ndarray
    joints: np.ndarray
    weights: np.ndarray


@dataclass
class Rig:
    """A creature under construction: all bones are at rest and parallel to the axes.

    Attributes:
        rng: chooses everything.
        palette: its colours by name.
        coat: its pattern.
        rough: makes its surfaces uneven; None if they are not.
        positions: where its bones begin.
        parents: the bones that they hang on; -1 for the first, the root.
        limbs: what its motions move.
        holds: there is something in one of its hands.
    """

    rng: np.random.Generator
    palette: Palette
    coat: Coat
    rough: np.random.Generator | None = None
    positions: list[np.ndarray] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    limbs: list[Limb] = field(default_factory=list)
    holds: bool = False
    _pieces: list[Piece] = field(default_factory=list)

    def between(self, low: float, high: float) -> float:
        """Draw a number."""
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        """Draw whether something is so."""
        return bool(self.rng.random() < share)

    def pick(self, names: str, *weights: float) -> str:
        """Draw one of several words; all alike without weights."""
        options = names.split()
        if not weights:
            return options[int(self.rng.integers(len(options)))]
        return options[
            int(np.searchsorted(np.cumsum(weights), self.rng.random() * sum(weights), side="right"))
        ]

    def bone(self, position: ArrayLike, parent: int = 0) -> int:
        """Add a bone; the first becomes the root."""
        self.positions.append(np.asarray(position, float))
        self.parents.append(parent if len(self.positions) > 1 else -1)
        return len(self.positions) - 1

    def add(
        self,
        shape: Shape,
        color: str | np.ndarray,
        bones: int | list[int],
        starts: tuple[float, ...] = (0.0,),
        soft: float = 0.5,
        held: bool = False,
    ) -> None:
        """Bind a shape to bones along its spine.

        Args:
            shape: what is seen.
            color: name in the palette; "coat" or "limb" for the coat's pattern on bodies or on legs; or
                (T,) indices of its faces' colours.
            bones: one after the other along the spine.
            starts: where along the spine each takes over, as shares of its length.
            soft: over which share of the shorter neighbour it takes over.
            held: it is in one hand only, where all else is symmetric.
        """
        bones = [bones] if isinstance(bones, int) else bones
        joints, weights = _weights(shape.along, np.array(bones), np.array(starts[: len(bones)]), soft)
        self._pieces.append(Piece(shape, self.paint(shape, color), joints, weights))
        self.holds |= held

    def paint(self, shape: Shape, color: str | np.ndarray) -> np.ndarray:
        """Choose the (T,) indices of the colours of a shape's faces, as for `add`."""
        if isinstance(color, np.ndarray):
            return color
        if color in ("coat", "limb"):
            return self.coat.body(shape) if color == "coat" else self.coat.leg(shape)
        return np.full(len(shape.triangles), self.palette.index(color))

    def add_pair(self, shape: Shape, color: str | np.ndarray, bones: tuple[int, int] | int) -> None:
        """Fix a shape on the left side to a bone, and its mirror image to another, or to the same."""
        left, right = (bones, bones) if isinstance(bones, int) else bones
        self.add(shape, color, left)
        self.add(shape.mirrored(), color, right)

    def limb(
        self,
        kind: str,
        shape: Shape,
        color: str | np.ndarray,
        parent: int,
        starts: tuple[float, ...] = (0.0,),
        side: int = 0,
        phase: float = 0.0,
        soft: float = 0.5,
        spread: float = 0.0,
    ) -> Limb:
        """Add a shape with bones of its own, which begin at shares of its spine's length."""
        bones: list[int] = []
        for share in starts:
            bones.append(self.bone(shape.at(share), bones[-1] if bones else parent))
        self.add(shape, color, bones, starts, soft)
        self.limbs.append(Limb(kind, bones, side, phase, spread))
        return self.limbs[-1]

    def limb_pair(
        self,
        kind: str,
        shape: Shape,
        color: str | np.ndarray,
        parent: int,
        starts: tuple[float, ...] = (0.0,),
        phases: tuple[float, float] = (0.0, 0.5),
        soft: float = 0.5,
        spread: float = 0.0,
    ) -> tuple[int, int]:
        """Add a limb on the left side and its mirror image; tells the last bone of either."""
        left = self.limb(kind, shape, color, parent, starts, 1, phases[0], soft, spread)
        right = self.limb(kind, shape.mirrored(), color, parent, starts, -1, phases[1], soft, spread)
        return left.bones[-1], right.bones[-1]

    def of_kind(self, *kinds: str) -> list[Limb]:
        """List the limbs of some kinds."""
        return [limb for limb in self.limbs if limb.kind in kinds]

    @property
    def size(self) -> float:
        """Measure the larger of its height and its length."""
        vertices = np.concatenate([piece.shape.vertices for piece in self._pieces])
        return float(np.ptp(vertices, axis=0)[1:].max())

    def model(self, name: str, clips: dict[str, Clip], style: Style) -> tuple[AnimatedModel, list[str]]:
        """Join everything into a model with one skin; tells the names of its primitives' colours."""
        firsts = np.cumsum([0, *(len(piece.shape.vertices) for piece in self._pieces)])
        vertices = np.concatenate([piece.shape.vertices for piece in self._pieces])
        triangles = np.concatenate(
            [piece.shape.triangles + first for piece, first in zip(self._pieces, firsts, strict=False)]
        )
        colors = np.concatenate([piece.colors for piece in self._pieces])
        joints = np.concatenate([piece.joints for piece in self._pieces])
        weights = np.concatenate([piece.weights for piece in self._pieces])
        normals, areas = creased_normals(vertices, triangles, style.crease_deg)
        whole = areas > 1e-9 * areas.max()
        low, high = vertices[:, 1].min(), vertices[:, 1].max()
        shade = 1 + style.gradient * ((vertices[:, 1] - low) / max(high - low, 1e-9) - 0.5)
        uneven = 1 + style.unevenness * self.rng.uniform(-1, 1, len(triangles))
        primitives = []
        for color in np.unique(colors[whole]):
            faces = whole & (colors == color)
            corners = triangles[faces].reshape(-1)
            rgb = self.palette.rgb[color] ** SRGB_GAMMA
            light = shade[corners] * np.repeat(uneven[faces], 3)
            primitives.append(
                Primitive(
                    node=0,
                    skin=0,
                    positions=vertices[corners],
                    normals=normals[faces].reshape(-1, 3),
                    triangles=np.arange(len(corners), dtype=np.int32).reshape(-1, 3),
                    colors=np.clip(rgb * light[:, None], 0, 1),
                    uvs=np.zeros((len(corners), 2)),
                    texture=None,
                    joints=joints[corners],
                    weights=weights[corners],
                    targets=np.zeros((0, len(corners), 3)),
                )
            )
        model = AnimatedModel(
            name, primitives, clips, self._nodes(), [self._skin()], list(range(len(self.parents)))
        )
        return model, [self.palette.names[color] for color in np.unique(colors[whole])]

    def _nodes(self) -> list[Node]:
        still, even = np.array([0.0, 0.0, 0.0, 1.0]), np.ones(3)
        places = np.stack(self.positions)
        offsets = places - np.where(np.array(self.parents)[:, None] >= 0, places[self.parents], 0.0)
        return [
            Node(parent, offset, still, even, None, np.zeros(0))
            for parent, offset in zip(self.parents, offsets, strict=True)
        ]

    def _skin(self) -> Skin:
        inverse = np.tile(np.eye(4), (len(self.positions), 1, 1))
        inverse[:, :3, 3] = -np.stack(self.positions)
        return Skin(list(range(len(self.positions))), inverse)


def _weights(
    along: np.ndarray, bones: np.ndarray, starts: np.ndarray, soft: float
) -> tuple[np.ndarray, np.ndarray]:
    """Assign each vertex two joints (P, 2) and weights (P, 2): its bone's, and a share of the neighbour's."""
    if len(bones) == 1:
        joints, weights = np.full((len(along), 2), bones[0]), np.zeros((len(along), 2))
        weights[:, 0] = 1.0
        return joints, weights
    ends = np.append(starts[1:], 1.0)
    reach = soft * np.minimum(np.diff(starts), (ends - starts)[1:])
    place = np.zeros(len(along))
    for begin, width in zip(starts[1:], reach, strict=True):
        place += np.clip((along - begin) / max(width, 1e-6) + 0.5, 0.0, 1.0)
    low = np.minimum(place.astype(int), len(bones) - 2)
    share = place - low
    return np.stack([bones[low], bones[low + 1]], -1), np.stack([1 - share, share], -1)


def creased_normals(
    vertices: np.ndarray, triangles: np.ndarray, crease_deg: float
) -> tuple[np.ndarray, np.ndarray]:
    """Compute unit normals (T, 3, 3) of all corners and areas (T,) of all faces.

    A corner's normal is the mean, by area, over those faces at its vertex that its own face meets at
    less than the crease angle.
    """
    corners = vertices[triangles]
    faces = cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(faces, axis=1)
    units = faces / np.maximum(areas, 1e-12)[:, None]
    if crease_deg <= 0:
        return np.repeat(units[:, None], 3, axis=1), areas
    owners = triangles.reshape(-1)
    order = np.argsort(owners, kind="stable")
    degrees = np.bincount(owners, minlength=len(vertices))
    begins = np.cumsum(degrees) - degrees
    counts = degrees[owners[order]]
    starts = np.cumsum(counts) - counts
    first = np.repeat(order // 3, counts)
    second = order[np.repeat(begins[owners[order]] - starts, counts) + np.arange(counts.sum())] // 3
    close = np.einsum("pi,pi->p", units[first], units[second]) > np.cos(np.deg2rad(crease_deg))
    close |= first == second
    summed = np.add.reduceat(faces[second] * close[:, None], starts, axis=0)
    normals = np.empty((len(owners), 3))
    normals[order] = summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12)
    return normals.reshape(-1, 3, 3), areas
