"""What Blender's own Python runs: import a file, and render it at some moments. Prints what it found as JSON.

    python blender_render.py JOB.json

JOB: files (one; or for numbered files one a picture), seconds (of each picture), fps (of the file), camera
(a 4 × 4 matrix in our world, OpenGL's axes), fov_deg, size, texture (a PNG to put on meshes that have none),
and out (a pattern for the pictures, with {}). Cycles draws them, as it needs neither a screen nor a GPU.
"""

import json
import math
import sys
from pathlib import Path

import bpy
from mathutils import Matrix

BLENDER_FROM_WORLD = Matrix(((0, 1, 0, 0), (-1, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)))
"""All our files have glTF's axes, and Blender turns y up into z up: our front looks along its -y."""


def load(path: str) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    match Path(path).suffix:
        case ".glb":
            bpy.ops.import_scene.gltf(filepath=path)
        case ".usdc" | ".usda" | ".usdz":
            bpy.ops.wm.usd_import(filepath=path)
        case ".abc":
            bpy.ops.wm.alembic_import(filepath=path, as_background_job=False)
        case ".obj":
            bpy.ops.wm.obj_import(filepath=path)


def glow(texture: str) -> None:
    """Put a texture on all meshes, seen as it is."""
    material = bpy.data.materials.new("texture")
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    picture = nodes.new("ShaderNodeTexImage")
    picture.image = bpy.data.images.load(texture)
    emission, output = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    links.new(picture.outputs["Color"], emission.inputs["Color"])
    links.new(emission.outputs["Emission"], output.inputs["Surface"])
    for shown in meshes():
        shown.data.materials.clear()
        shown.data.materials.append(material)


def meshes() -> list:
    """What is shown: not the shapes that the importer of glTF draws bones with."""
    return [thing for thing in bpy.context.scene.objects if thing.type == "MESH" and thing.visible_get()]


def stand_camera(job: dict) -> None:
    scene = bpy.context.scene
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.sensor_fit = "VERTICAL"
    camera.data.angle = math.radians(job["fov_deg"])
    camera.matrix_world = BLENDER_FROM_WORLD @ Matrix(job["camera"])
    scene.collection.objects.link(camera)
    scene.camera = camera


def render(job: dict, number: int, frame: float) -> None:
    scene = bpy.context.scene
    scene.frame_set(math.floor(frame), subframe=frame - math.floor(frame))
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 16
    scene.cycles.use_denoising = False
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles.filter_width = 1.0
    scene.render.resolution_x = scene.render.resolution_y = job["size"]
    scene.render.film_transparent = True
    scene.render.threads_mode, scene.render.threads = "FIXED", 2
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.filepath = job["out"].format(number)
    bpy.ops.render.render(write_still=True)


def main(job: dict) -> dict:
    found: dict = {"blender": bpy.app.version_string}
    for number, seconds in enumerate(job["seconds"]):
        path = job["files"][min(number, len(job["files"]) - 1)]
        if number == 0 or path != job["files"][number - 1]:
            load(path)
            scene = bpy.context.scene
            if not path.endswith((".usdc", ".usda", ".usdz")):
                scene.render.fps, scene.render.fps_base = 24, 1.0
            if job.get("texture"):
                glow(job["texture"])
            stand_camera(job)
        rate = scene.render.fps / scene.render.fps_base
        # glTF's first key is at frame 0, as are our USD's time codes; of Alembic second 0, too.
        render(job, number, 0 if path.endswith(".obj") else seconds * rate)
    shown = meshes()
    found["fps"] = rate
    found["meshes"] = [len(mesh.data.vertices) for mesh in shown]
    found["triangles"] = [len(mesh.data.polygons) for mesh in shown]
    found["kinds"] = sorted({thing.type for thing in scene.objects})
    found["bones"] = [len(thing.data.bones) for thing in scene.objects if thing.type == "ARMATURE"]
    found["images"] = sorted(image.size[:] for image in bpy.data.images if image.size[0])
    found["range"] = [scene.frame_start, scene.frame_end]
    found["modifiers"] = [modifier.type for mesh in shown for modifier in mesh.modifiers]
    return found


if __name__ == "__main__":
    print("found: " + json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
