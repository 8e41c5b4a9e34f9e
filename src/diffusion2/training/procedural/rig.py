"""The rig: bones, the shapes bound to them, and the model that comes out of both."""

from dataclasses import dataclass, field

import numpy as np

from diffusion2.meshes.animation import Clip
from diffusion2.meshes.model import AnimatedModel, Node, Primitive, Skin
from diffusion2.training.procedural.palette import Palette
from diffusion2.training.procedural.shapes import Shape

SRGB_GAMMA = 2.2  # as the renderer shows linear colours


@dataclass(frozen=True)
class Limb:
    """Bones that move together.

    Attributes:
        kind: what they are of: "leg", "arm", "wing", "fin", "tail", "neck" and so on.
        bones: from the body outwards.
        side: 1 for the creature's left (+x), -1 for its right, 0 in the middle.
        phase: its place in a gait, in turns.
    """

    kind: str
    bones: list[int]
    side: int = 0
    phase: float = 0.0


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


@dataclass
class Rig:
    """A creature under construction: all bones are at rest and parallel to the axes.

    Attributes:
        palette: its colours by name.
        positions: where its bones begin.
        parents: the bones that they hang on; -1 for the first, the root.
        limbs: what its motions move.
        holds: there is something in one of its hands.
    """

    palette: Palette
    positions: list[np.ndarray] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    limbs: list[Limb] = field(default_factory=list)
    holds: bool = False
    _pieces: list[tuple[Shape, np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)

    def bone(self, position: np.ndarray | tuple[float, float, float], parent: int = 0) -> int:
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
            color: name in the palette, or (T,) indices of its faces' colours.
            bones: one after the other along the spine.
            starts: where along the spine each takes over, as shares of its length.
            soft: over which share of the shorter neighbour it takes over.
            held: it is in one hand only, where all else is symmetric.
        """
        bones = [bones] if isinstance(bones, int) else bones
        joints, weights = _weights(shape.along, np.array(bones), np.array(starts[: len(bones)]), soft)
        if isinstance(color, str):
            color = np.full(len(shape.triangles), self.palette.index(color))
        self._pieces.append((shape, color, joints, weights))
        self.holds |= held

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
    ) -> Limb:
        """Add a shape with bones of its own, which begin at shares of its spine's length."""
        bones = []
        for share in starts:
            bones.append(self.bone(shape.at(share), bones[-1] if bones else parent))
        self.add(shape, color, bones, starts, soft)
        self.limbs.append(Limb(kind, bones, side, phase))
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
    ) -> tuple[Limb, Limb]:
        """Add a limb on the left side, and its mirror image."""
        left = self.limb(kind, shape, color, parent, starts, 1, phases[0], soft)
        right = self.limb(kind, shape.mirrored(), color, parent, starts, -1, phases[1], soft)
        return left, right

    def of_kind(self, *kinds: str) -> list[Limb]:
        """List the limbs of some kinds."""
        return [limb for limb in self.limbs if limb.kind in kinds]

    @property
    def size(self) -> float:
        """Measure the larger of its height and its length."""
        vertices = np.concatenate([shape.vertices for shape, *_ in self._pieces])
        return float(np.ptp(vertices, axis=0)[1:].max())

    def model(
        self, name: str, clips: dict[str, Clip], style: Style, rng: np.random.Generator
    ) -> tuple[AnimatedModel, list[str]]:
        """Join everything into a model with one skin; tells the names of its primitives' colours."""
        sizes = np.cumsum([0] + [len(shape.vertices) for shape, *_ in self._pieces])
        vertices = np.concatenate([shape.vertices for shape, *_ in self._pieces])
        triangles = np.concatenate([p[0].triangles + k for p, k in zip(self._pieces, sizes, strict=False)])
        colors = np.concatenate([color for _, color, _, _ in self._pieces])
        joints, weights = (np.concatenate([piece[k] for piece in self._pieces]) for k in (2, 3))
        normals, areas = corner_normals(vertices, triangles, style.crease_deg)
        whole = areas > 1e-9 * areas.max()
        low, high = vertices[:, 1].min(), vertices[:, 1].max()
        shade = 1 + style.gradient * ((vertices[:, 1] - low) / max(high - low, 1e-9) - 0.5)
        uneven = 1 + style.unevenness * rng.uniform(-1, 1, len(triangles))
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
    """Give each vertex two joints (P, 2) and weights (P, 2): its bone's, and a share of the neighbour's."""
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


def corner_normals(
    vertices: np.ndarray, triangles: np.ndarray, crease_deg: float
) -> tuple[np.ndarray, np.ndarray]:
    """Compute unit normals (T, 3, 3) of all corners and areas (T,) of all faces.

    A corner's normal is the mean, by area, over those faces at its vertex that its own face meets at
    less than the crease angle.
    """
    corners = vertices[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
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
