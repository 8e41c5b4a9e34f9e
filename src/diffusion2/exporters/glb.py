"""The textured mesh as binary glTF: moved by bones or by morph targets, or still.

Axes are glTF's, y up and the front on +z (`GLTF_FROM_WORLD`); units those of the world; or both those of the
given model. Light is baked into the texture, so it is drawn unlit.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusion2.cameras import ModelFrame
from diffusion2.config import ExportSettings
from diffusion2.events import Report, ignore, stage
from diffusion2.exporters.axes import GLTF_FROM_WORLD, model_turn, place_points, turn_points, turn_rotations
from diffusion2.exporters.choosing import Job
from diffusion2.exporters.gltf_file import GltfFile
from diffusion2.exporters.keys import PLACES_PER_FRAME, key_times
from diffusion2.exporters.skin import Skin, make_moving_skin
from diffusion2.exporters.texture import encode_texture
from diffusion2.exporters.writing import writing
from diffusion2.gaussians import DeformationField
from diffusion2.gaussians.mesh import Mesh4D
from diffusion2.quaternions import multiply_quats
from diffusion2.reconstruction.mesh import extract_mesh

CLAMP, LINEAR, MIPMAPS = 33071, 9729, 9987


def write_mesh(job: Job) -> None:
    """Write the mesh with its motion, or as it is at the time that is asked for.

    Raises:
        ExportError: the file can't be written.
        InputError: the asset has no surface.
        BackendUnavailable: the libraries of the extra `mesh` are not installed.
    """
    with writing(job.path, "the mesh") as temporary:
        mesh = extract_mesh(job.asset, job.matrix, job.settings.mesh, job.report)
        with stage(job.report, "glb"):
            lay_out(mesh, job.settings, job.report, job.model_frame).save(temporary)


def lay_out(
    mesh: Mesh4D, settings: ExportSettings, report: Report = ignore, model: ModelFrame | None = None
) -> GltfFile:
    """Lay a mesh out as a glTF file: with its motion, or as it is at the time that the settings name.

    Args:
        mesh: what to show.
        settings: of these, `animation` and `time`.
        report: hears where bones are far off.
        model: where a given model stands, if the mesh is to stand there, too.
    """
    file, time = GltfFile(), settings.time
    if time is not None or mesh.deformation is None:
        roots = [_add_mesh(file, mesh, mesh.at(time or 0.0))]
    elif settings.animation == "morph":
        roots = [_add_morphing(file, mesh)]
    else:
        roots = _add_skinned(file, mesh, mesh.deformation, report)
    file.content["scene"] = file.add("scenes", nodes=roots)
    if model is not None:
        _place(file.content["nodes"][roots[0]], model)
    return file


def _place(root: dict[str, Any], model: ModelFrame) -> None:
    """Move a node, the mesh's or that of all bones, to where the given model stands."""
    back = GLTF_FROM_WORLD * torch.tensor([1.0, -1, -1, -1])
    turn = multiply_quats(model_turn(model), back)
    root["translation"] = place_points(torch.zeros(1, 3), GLTF_FROM_WORLD, model)[0].tolist()
    root["rotation"] = turn[[1, 2, 3, 0]].tolist()
    root["scale"] = [1 / model.scale] * 3


def _add_mesh(file: GltfFile, mesh: Mesh4D, vertices: Tensor, *, normals: bool = True, **node: int) -> int:
    """Add the mesh with its vertices there, and a node that shows it; return the node's index."""
    attributes = {
        "POSITION": file.add_array(_in_gltf(vertices), "vertices", bounds=True),
        "TEXCOORD_0": file.add_array(mesh.uvs.numpy(), "vertices"),
    }
    if normals:
        attributes["NORMAL"] = file.add_array(_in_gltf(mesh.normals(vertices)), "vertices")
    small = len(vertices) < 0xFFFF  # the last number of a kind is reserved
    triangles = mesh.triangles.flatten().numpy().astype(np.uint16 if small else np.uint32)
    primitive = {
        "attributes": attributes,
        "indices": file.add_array(triangles, "triangles"),
        "material": _add_material(file, mesh.texture),
    }
    index = file.add("meshes", name="object", primitives=[primitive])
    return file.add("nodes", name="object", mesh=index, **node)


def _add_material(file: GltfFile, texture: Tensor) -> int:
    image = file.add("images", bufferView=file.add_bytes(encode_texture(texture)), mimeType="image/png")
    sampler = file.add("samplers", magFilter=LINEAR, minFilter=MIPMAPS, wrapS=CLAMP, wrapT=CLAMP)
    number = file.add("textures", source=image, sampler=sampler)
    file.use("KHR_materials_unlit")
    return file.add(
        "materials",
        name="texture",
        pbrMetallicRoughness={
            "baseColorTexture": {"index": number}, "metallicFactor": 0.0, "roughnessFactor": 1.0,
        },
        extensions={"KHR_materials_unlit": {}},
    )  # fmt: skip


def _seconds(mesh: Mesh4D, times: Tensor) -> np.ndarray:
    return (times * mesh.metadata.duration_s).numpy().astype(np.float32)


def _add_skinned(file: GltfFile, mesh: Mesh4D, field: DeformationField, report: Report) -> list[int]:
    """Add the mesh in its canonical pose, bones, and how they move; return the scene's nodes."""
    times, skin = make_moving_skin(mesh, field, report)
    places = _in_gltf(skin.translations)
    rotations = turn_rotations(skin.rotations, GLTF_FROM_WORLD)[..., [1, 2, 3, 0]].numpy()  # xyzw
    bones = [
        file.add(
            "nodes", name=f"bone_{k}", translation=places[0, k].tolist(), rotation=rotations[0, k].tolist()
        )
        for k in range(len(skin.places))
    ]
    root = file.add("nodes", name="bones", children=bones)
    unbind = np.tile(np.eye(4, dtype=np.float32), (len(bones), 1, 1))
    unbind[:, :3, 3] = -_in_gltf(skin.places)
    number = file.add("skins", joints=bones, skeleton=root, inverseBindMatrices=file.add_array(unbind))
    shown = _add_mesh(file, mesh, mesh.vertices, skin=number)
    _add_weights(file, skin)
    animation = _Animation(file, _seconds(mesh, times))
    for k, bone in enumerate(bones):
        animation.move(bone, "translation", places[:, k])
        animation.move(bone, "rotation", rotations[:, k])
    animation.finish()
    return [root, shown]


def _add_weights(file: GltfFile, skin: Skin) -> None:
    kind = np.uint8 if len(skin.places) <= 256 else np.uint16
    attributes = file.content["meshes"][0]["primitives"][0]["attributes"]
    attributes["JOINTS_0"] = file.add_array(skin.joints.numpy().astype(kind), "vertices")
    attributes["WEIGHTS_0"] = file.add_array(skin.weights.numpy(), "vertices")


def _add_morphing(file: GltfFile, mesh: Mesh4D) -> int:
    """Add the mesh as it is at time 0, where it is at other times, and when; return its node."""
    times = key_times(mesh.metadata, PLACES_PER_FRAME)
    first = mesh.at(0.0)
    shown = _add_mesh(file, mesh, first, normals=False)  # they would stay while the surface turns
    drawn = file.content["meshes"][0]
    primitive = drawn["primitives"][0]
    moved = (_in_gltf(mesh.move(times[k : k + 1])[0] - first) for k in range(1, len(times)))
    primitive["targets"] = [{"POSITION": file.add_array(away, "vertices", bounds=True)} for away in moved]
    drawn["weights"] = [0.0] * len(primitive["targets"])
    animation = _Animation(file, _seconds(mesh, times))
    animation.move(shown, "weights", np.eye(len(times), dtype=np.float32)[:, 1:].reshape(-1))
    animation.finish()
    return shown


class _Animation:
    """One clip: values of nodes at key times (T,) in seconds, straight from key to key."""

    def __init__(self, file: GltfFile, seconds: np.ndarray) -> None:
        self._file, self._input = file, file.add_array(seconds, bounds=True)
        self._samplers: list[dict[str, object]] = []
        self._channels: list[dict[str, object]] = []

    def move(self, node: int, path: str, values: np.ndarray) -> None:
        output = self._file.add_array(values)
        self._samplers.append({"input": self._input, "output": output, "interpolation": "LINEAR"})
        self._channels.append({"sampler": len(self._channels), "target": {"node": node, "path": path}})

    def finish(self) -> None:
        self._file.add("animations", name="motion", samplers=self._samplers, channels=self._channels)


def _in_gltf(points: Tensor) -> np.ndarray:
    return turn_points(points, GLTF_FROM_WORLD).contiguous().numpy()
