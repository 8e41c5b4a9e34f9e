"""Reading glTF models: nodes, skins, clips, and the primitives that hang on them.

Source: glTF 2.0 specification, sections 3.5 (scenes), 3.7 (geometry, skins) and 3.11 (animations).
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from diffusion2.errors import InputError
from diffusion2.events import Report, ignore
from diffusion2.meshes.animation import Channel, Clip
from diffusion2.meshes.document import Document, as_floats
from diffusion2.meshes.extensions import AVATAR
from diffusion2.meshes.geometry import read_primitive
from diffusion2.meshes.instancing import multiply, read_instances
from diffusion2.meshes.materials import Materials
from diffusion2.meshes.model import WORLD_FROM_GLTF, AnimatedModel, Node, Primitive, Skin

__all__ = ["WORLD_FROM_GLTF", "AnimatedModel", "Node", "Primitive", "Skin", "load_model"]

UNIT_TOLERANCE = 1e-3
MAX_SECONDS = 1e6
VISIBILITY = "KHR_node_visibility"
WIDTHS = {"translation": 3, "rotation": 4, "scale": 3}


def load_model(path: str | Path, report: Report = ignore) -> AnimatedModel:
    """Read a glTF file, binary or JSON, whatever its suffix.

    Args:
        path: the file.
        report: takes notes of what is guessed and left out.

    Raises:
        InputError: the file is missing, is not glTF, is damaged, or holds nothing to draw.
        BackendUnavailable: it is compressed, and the decoder is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    try:
        document = Document(path, report)
        nodes, order = _nodes(document)
        primitives = _primitives(document)
        skins, clips = _skins(document), _clips(document)
        _check(document, primitives, skins)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{path} is damaged or no glTF 2.0: {_in_words(error)}") from error
    if not primitives:
        raise InputError(f"{path} has no triangles to draw")
    return AnimatedModel(path.stem, primitives, clips, nodes, skins, order, _front_deg(document))


def _front_deg(document: Document) -> float:
    """Tell where the front is: glTF's is +z, that of avatars of VRM 0 is -z."""
    return 180.0 if AVATAR in document.content.get("extensionsUsed", []) else 0.0


def _in_words(error: Exception) -> str:
    """Say what a file lacks or has too much of where reading it went wrong unforeseen."""
    match error:
        case KeyError():
            return f"a part of it lacks {str(error.args[0])!r}"
        case IndexError():
            return "a list in it is too short"
    return "a value in it is of another kind or length than belongs there"


def _nodes(document: Document) -> tuple[list[Node], list[int]]:
    """Return the nodes and an order in which parents come before children."""
    raw = document.table("nodes")
    parents = [-1] * len(raw)
    for i, node in enumerate(raw):
        for child in node.get("children", []):
            document.entry("nodes", child)  # must be there
            parents[child] = i
    path, nodes = document.path, []
    for i, node in enumerate(raw):
        mesh = document.entry("meshes", node["mesh"]) if "mesh" in node else {}
        count = max((len(p.get("targets", [])) for p in mesh.get("primitives", [])), default=0)
        nodes.append(
            Node(
                parents[i],
                _numbers(path, node.get("translation", [0, 0, 0]), 3),
                _numbers(path, node.get("rotation", [0, 0, 0, 1]), 4),
                _numbers(path, node.get("scale", [1, 1, 1]), 3),
                _numbers(path, node["matrix"], 16).reshape(4, 4).T if "matrix" in node else None,
                _numbers(path, node.get("weights") or mesh.get("weights") or [0.0] * count),
            )
        )
    order, stack = [], [i for i, parent in enumerate(parents) if parent < 0]
    while stack:
        i = stack.pop()
        order.append(i)
        stack.extend(raw[i].get("children", []))
        if len(order) > len(raw):
            break
    if sorted(order) != list(range(len(raw))):
        raise InputError(f"{document.path}: its nodes form no tree")
    return nodes, order


def _numbers(path: Path, values: Any, count: int | None = None) -> np.ndarray:
    try:
        numbers = np.array(values, np.float64)
    except (TypeError, ValueError):
        numbers = np.array(np.nan)
    right = numbers.ndim == 1 and count in (None, len(numbers)) and np.isfinite(numbers).all()
    if not right:
        many = "numbers" if count is None else f"{count} numbers"
        raise InputError(f"{path} is damaged: a node has {values!r} where {many} belong")
    return numbers


def _primitives(document: Document) -> list[Primitive]:
    """Read what the nodes of the shown scene draw; nodes with the same mesh share its arrays."""
    materials = Materials(document)
    shapes: dict[int, list[Primitive]] = {}
    shown, found = _shown_nodes(document), []
    for i, node in enumerate(document.table("nodes")):
        if "mesh" not in node or i not in shown:
            continue
        mesh = node["mesh"]
        if mesh not in shapes:
            raw = document.entry("meshes", mesh)["primitives"]
            shapes[mesh] = [p for r in raw if (p := read_primitive(document, r, materials)) is not None]
        instances = read_instances(document, node)
        for one in shapes[mesh]:
            shape = one if instances is None else multiply(document, one, *instances)
            if shape is None:
                continue
            skin = node.get("skin") if shape.joints is not None else None
            if skin is None:
                found.append(replace(shape, node=i, joints=None, weights=None))
            else:
                found.append(replace(shape, node=i, skin=skin))
    return found


def _shown_nodes(document: Document) -> set[int]:
    """Find the nodes of the default scene, or of the first, or all; without what is hidden and below that."""
    nodes = document.table("nodes")
    if document.table("scenes"):
        stack = list(document.entry("scenes", document.content.get("scene", 0)).get("nodes", []))
    else:
        stack = list(set(range(len(nodes))) - {child for node in nodes for child in node.get("children", [])})
    shown = set()
    while stack:
        i = stack.pop()
        node = document.entry("nodes", i)
        if node.get("extensions", {}).get(VISIBILITY, {}).get("visible", True):
            stack.extend(node.get("children", []))
            shown.add(i)
    return shown


def _skins(document: Document) -> list[Skin]:
    skins = []
    for skin in document.table("skins"):
        for joint in skin["joints"]:
            document.entry("nodes", joint)  # must be there
        count = len(skin["joints"])
        inverse = np.tile(np.eye(4), (count, 1, 1))
        if "inverseBindMatrices" in skin:
            values = as_floats(document.accessor(skin["inverseBindMatrices"]))
            inverse = values.reshape(-1, 4, 4).transpose(0, 2, 1)[:count]
            if len(inverse) < count:
                raise InputError(f"{document.path}: a skin has {len(inverse)} matrices for {count} joints")
        skins.append(Skin(list(skin["joints"]), inverse))
    return skins


def _clips(document: Document) -> dict[str, Clip]:
    clips: dict[str, Clip] = {}
    for i, animation in enumerate(document.table("animations")):
        found = [_channel(document, animation, raw) for raw in animation["channels"]]
        channels = [channel for channel in found if channel is not None]
        name = animation.get("name") or f"clip_{i}"
        name = name if name not in clips else f"{name}_{i}"
        clips[name] = Clip(name, channels)
    return clips


def _channel(document: Document, animation: dict[str, Any], raw: dict[str, Any]) -> Channel | None:
    """Read the key frames of one property; None where nothing that is shown moves."""
    target, samplers, chosen = raw["target"], animation["samplers"], raw["sampler"]
    if not 0 <= chosen < len(samplers):
        raise InputError(
            f"{document.path} is damaged: the clip {animation.get('name')!r} refers to sampler {chosen} "
            f"of {len(samplers)}"
        )
    sampler = samplers[chosen]
    path = target["path"]
    if "node" not in target or path not in (*WIDTHS, "weights"):
        return None
    document.entry("nodes", target["node"])  # must be there
    times = as_floats(document.accessor(sampler["input"])).reshape(-1)
    values = as_floats(document.accessor(sampler["output"]))
    mode = sampler.get("interpolation", "LINEAR")
    if mode not in ("LINEAR", "STEP", "CUBICSPLINE"):
        raise InputError(f"{document.path}: the interpolation {mode!r} is unknown")
    if not len(times):
        return None
    if (np.diff(times) < 0).any() or times[-1] > MAX_SECONDS:
        raise InputError(
            f"{document.path}: the key frames of {animation.get('name')!r} are out of order or too long"
        )
    knots = 3 if mode == "CUBICSPLINE" else 1
    width = WIDTHS.get(path, values.size // (len(times) * knots))
    if values.size != len(times) * knots * width:
        raise InputError(
            f"{document.path}: {len(times)} key frames of {path} have {values.size} numbers "
            f"in place of {len(times) * knots * width}"
        )
    values = values.reshape(len(times), 3, width) if knots == 3 else values.reshape(len(times), width)
    if path == "rotation":
        values = _unit_quaternions(values)
    return Channel(target["node"], path, times, values, mode)


def _unit_quaternions(values: np.ndarray) -> np.ndarray:
    """Normalise quaternions that are not of unit length; those that are, up to rounding, stay as they are."""
    lengths = np.linalg.norm(values[:, 1] if values.ndim == 3 else values, axis=-1)
    if np.abs(lengths - 1).max() < UNIT_TOLERANCE:
        return values
    scaled = values.copy()
    keys = scaled[:, 1] if values.ndim == 3 else scaled
    keys /= np.maximum(lengths, 1e-12)[:, None]
    return scaled


def _check(document: Document, primitives: list[Primitive], skins: list[Skin]) -> None:
    for primitive in primitives:
        if primitive.skin is not None and primitive.joints is not None:
            document.entry("skins", primitive.skin)  # must be there
            count = len(skins[primitive.skin].joints)
            if primitive.joints.max() >= count:
                raise InputError(
                    f"{document.path}: a vertex refers to joint {primitive.joints.max()} of {count}"
                )
