"""The rooms import one way, heavy libraries have one named place each, the public names are locked."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import diffusion2

SOURCE = Path(diffusion2.__file__).parent

# A module may import modules of a lower layer, or of its own room.
LAYERS = [
    {"errors", "events", "atomic_files", "color_profiles"},
    {"config", "cameras", "pictures", "quaternions", "kernels", "weights", "distributed"},
    {"image_matrix"},
    {"runs"},
    {"gaussians", "meshes", "metrics"},
    {"priors"},
    {"inputs", "sampling", "reconstruction"},
    {"exporters"},
    {"evaluation", "viewer", "training"},
    {"pipeline", "research"},
    {"batch"},
    {"commands"},
    {"cli"},
    {"__main__", "__init__"},
]

# The same inside a room, for its packages; those of one layer do not know each other.
INNER_LAYERS = {"research": [{"benchmark", "theorem", "study"}]}

# Where each heavy library may be imported: a room, or a module.
HOMES = {
    "diffusers": {"priors", "inputs.text"},
    "transformers": {"priors", "metrics.clip", "inputs.text"},
    "matplotlib": {"research.benchmark.figures", "research.theorem.plots"},
    "huggingface_hub": {"weights.catalogue", "weights.hub", "metrics.clip", "inputs.text"},
    "numba": {"kernels", "gaussians.rasterize.pictures"},
    "gsplat": {"gaussians.rasterize"},
    "av": {"exporters.video", "inputs.videos.video_file", "inputs.videos.interlacing", "inputs.videos.apng"},
    "pillow_heif": {"pictures"},
    "trimesh": {"inputs.models.stl"},
    "mapbox_earcut": {"inputs.models.polygons"},
    "jinja2": {"exporters.templates"},
    "scipy": {
        "exporters.camera_path",
        "kernels.regions",
        "meshes.sides",
        "reconstruction.mesh",
        "inputs.cutting.morphology",
    },
    "skimage": {"reconstruction.mesh"},
    "fast_simplification": {"reconstruction.mesh"},
    "xatlas": {"reconstruction.mesh"},
    "onnxruntime": {"inputs.cutting.matting"},
    "viser": {"exporters.scene", "viewer"},
    "gsply": {"exporters.compact"},
    "pxr": {"exporters.usd"},
    "alembic3d": {"exporters.alembic"},
    "imath": {"exporters.alembic"},
    "OpenEXR": {"exporters.film_files"},
    "moderngl": {"meshes"},
    "DracoPy": {"meshes"},
    "filelock": {"runs.lock"},
    "ray": {"batch.ray_engine"},
    "tyro": {"cli", "commands"},
    "rich": {"commands.terminal", "exporters.scene"},  # viser prints through rich; the viewer keeps it quiet
}
LIGHT = {"errors", "events", "atomic_files", "config", "runs.source", "commands", "cli", "weights"}
LIGHT |= {"__main__", "__init__"}
# ... but for those that a command imports when it runs.
AT_WORK = {"commands.doctor", "weights.packaged", "weights.tensor_files"}
HEAVY = {"torch", "numpy", "PIL", "safetensors", *HOMES} - {"tyro"}

# What sampling may know of the priors: what they promise, and how strongly conditions act.
PROTOCOLS = {"diffusion2.priors.prior", "diffusion2.priors.guidance"}

PUBLIC = {
    "Asset4D",
    "AssetFormatError",
    "AssetMetadata",
    "BackendUnavailable",
    "BatchSummary",
    "Cameras",
    "Conditions",
    "Diffusion2Error",
    "Event",
    "ExportError",
    "ExportSettings",
    "Gaussians",
    "GenerateSettings",
    "ImageMatrix",
    "InputError",
    "InputSettings",
    "NumericalError",
    "OutOfMemory",
    "PRESETS",
    "ProcessError",
    "ReconstructionSettings",
    "Report",
    "ResultWritten",
    "RunFinished",
    "RunFolder",
    "RunStarted",
    "RunsFailed",
    "SamplingSettings",
    "Source",
    "StageFinished",
    "StageProgress",
    "StageStarted",
    "Warned",
    "WeightsError",
    "export",
    "generate",
    "generate_many",
    "load_asset",
    "make_cameras",
    "orbit",
    "preview",
    "read_matrix",
    "reconstruct",
    "reconstruct_matrix",
    "render",
    "sample",
}


def modules():
    """(dotted name below diffusion2, path) of every module."""
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if len(parts) > 1 and parts[-1] == "__init__":
            parts = parts[:-1]
        yield ".".join(parts), path


def imports_of(path: Path, *, at_import_time: bool = False):
    """Names of all modules that a file imports; only those of its top level if `at_import_time`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    todo = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield node.module
            if node.module == "diffusion2":
                yield from (f"diffusion2.{alias.name}" for alias in node.names)
        elif at_import_time and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        elif at_import_time and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        else:
            todo.extend(ast.iter_child_nodes(node))


def is_in(name: str, places: set[str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


@pytest.mark.parametrize(("name", "path"), modules())
def test_imports_point_one_way(name, path):
    room = name.split(".")[0]
    level = {r: i for i, layer in enumerate(LAYERS) for r in layer}
    assert room in level, f"say in LAYERS where the room {room} belongs"
    for imported in imports_of(path):
        if imported.startswith("diffusion2."):
            other = imported.split(".")[1]
            if other in level and other != room and name != "__init__":
                assert level[other] < level[room], f"{name} must not import {imported}"


@pytest.mark.parametrize(
    ("name", "path"), [m for m in modules() if m[0].partition(".")[0] in INNER_LAYERS and "." in m[0]]
)
def test_imports_inside_a_room_point_one_way(name, path):
    room, package = name.split(".")[:2]
    level = {p: i for i, layer in enumerate(INNER_LAYERS[room]) for p in layer}
    assert package in level, f"say in INNER_LAYERS where {room}.{package} belongs"
    for imported in imports_of(path):
        assert imported != f"diffusion2.{room}", f"{name}: import from the package, not from the room"
        if imported.startswith(f"diffusion2.{room}."):
            other = imported.split(".")[2]
            assert other == package or level[other] < level[package], f"{name} must not import {imported}"


@pytest.mark.parametrize(("name", "path"), modules())
def test_heavy_libraries_are_imported_in_their_place_only(name, path):
    for imported in imports_of(path):
        library = imported.split(".")[0]
        if library in HOMES:
            assert is_in(name, HOMES[library]), f"{name} must not import {library}"


def test_few_modules_lie_outside_the_rooms():
    assert len(list(SOURCE.glob("*.py"))) <= 12


def test_sampling_knows_no_network():
    for name, path in modules():
        if is_in(name, {"sampling"}):
            for imported in imports_of(path):
                assert not imported.startswith(("diffusion2.gaussians", "diffusion2.meshes")), name
                if imported.startswith("diffusion2.priors"):
                    assert imported in PROTOCOLS, (name, imported)


def test_reconstruction_knows_no_prior():
    for name, path in modules():
        if is_in(name, {"reconstruction"}):
            assert not any(
                i.startswith(("diffusion2.priors", "diffusion2.sampling")) for i in imports_of(path)
            )


@pytest.mark.parametrize(
    ("name", "path"), [m for m in modules() if is_in(m[0], LIGHT) and m[0] not in AT_WORK]
)
def test_modules_behind_help_import_nothing_heavy(name, path):
    found = {i.split(".")[0] for i in imports_of(path, at_import_time=True)}
    assert not found & HEAVY, name


def test_importing_the_command_line_loads_no_torch():
    code = "import sys, diffusion2, diffusion2.cli; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_flow_loads_no_library_of_networks_before_it_loads_networks():
    """They take seconds; bad input is refused before."""
    code = "import sys, diffusion2.pipeline; print(*({'diffusers', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_public_names_are_locked():
    assert set(diffusion2.__all__) == PUBLIC
    assert set(diffusion2._HOMES) == PUBLIC


def test_no_room_or_module_has_a_public_name():
    """Importing a module `diffusion2.x` would put it in the place of the function `diffusion2.x`."""
    assert not PUBLIC & {name.partition(".")[0] for name, _ in modules()}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there(name):
    value = getattr(diffusion2, name)
    assert getattr(value, "__name__", name) == name
    assert value is diffusion2.PRESETS or value.__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="colour"):
        _ = diffusion2.colour


def test_processes_talk_to_each_other_in_one_place():
    for name, path in modules():
        found = [i for i in imports_of(path) if i.startswith("torch.distributed")]
        assert not found or is_in(name, {"distributed"}), name


def test_there_is_no_pickle():
    for name, path in modules():
        found = {"pickle", "dill", "joblib"} & {i.split(".")[0] for i in imports_of(path)}
        # that one reads others' weights with an unpickler that can build arrays only
        assert not found or name == "weights.packaged", name
        assert "torch.load(" not in path.read_text(encoding="utf-8"), name
