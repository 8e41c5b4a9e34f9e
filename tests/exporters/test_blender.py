"""Our files in Blender: it opens each, shows the object where we say it is, in its colours, in motion."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from diffusion2 import ExportSettings, export, make_cameras
from diffusion2.cameras import Cameras
from diffusion2.gaussians import Asset4D
from diffusion2.gaussians.mesh import Mesh4D

from .moving_ball import ball, waving

pytestmark = pytest.mark.slow

BLENDER = Path(sys.prefix) / "blender" / "bin" / "python"
SIZE = 200
TIMES = (0.0, 0.75)
FILES = {
    "bones as glTF": ("a.glb", {}),
    "morph targets as glTF": ("a.glb", {"animation": "morph"}),
    "bones as USD": ("a.usdc", {}),
    "points as USD": ("a.usdc", {"animation": "morph"}),
    "packed USD": ("a.usdz", {}),
    "Alembic": ("a.abc", {}),
    "OBJ": ("a_*.obj", {}),
}


@pytest.fixture(scope="module", autouse=True)
def blender() -> None:
    if not BLENDER.is_file():
        pytest.skip("needs Blender as a module, which `make test-slow` installs for Python 3.11")
    done = subprocess.run([BLENDER, "-c", "import bpy"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"Blender does not start here: {done.stderr.strip().splitlines()[-1]}")


@pytest.fixture(scope="module")
def mesh() -> Mesh4D:
    """A flat egg beside the axis: turned, mirrored or moved, it covers other pixels."""
    round_one = ball(48, 64)
    vertices = round_one.vertices * torch.tensor([1.0, 0.8, 0.5]) + torch.tensor([0.0, 0.12, 0.08])
    return replace(round_one, vertices=vertices, deformation=waving(vertices, 64))


@pytest.fixture
def asset(monkeypatch, mesh: Mesh4D, rising_asset: Asset4D) -> Asset4D:
    for library in ("skimage", "xatlas", "fast_simplification", "pxr", "alembic3d"):
        pytest.importorskip(library, reason="needs pip install 'diffusion2[mesh,usd,alembic]'")
    for module in ("glb", "obj", "alembic", "usd.mesh"):
        monkeypatch.setattr(f"diffusion2.exporters.{module}.extract_mesh", lambda *_: mesh)
    return replace(rising_asset, deformation=mesh.deformation)


def project(points: torch.Tensor, camera: Cameras) -> np.ndarray:
    """Project points (P, 3) to pixels (P, 2)."""
    viewmat, K = torch.as_tensor(camera.viewmats[0]).float(), torch.as_tensor(camera.Ks[0]).float()
    seen = (points @ viewmat[:3, :3].T + viewmat[:3, 3]) @ K.T
    return (seen[:, :2] / seen[:, 2:]).numpy()


def silhouette(mesh: Mesh4D, vertices: torch.Tensor, camera: Cameras) -> np.ndarray:
    """Draw all triangles, each filled: what the mesh covers."""
    drawn = Image.new("1", (SIZE, SIZE))
    pen = ImageDraw.Draw(drawn)
    for corners in project(vertices, camera)[mesh.triangles.numpy()]:
        pen.polygon([tuple(corner - 0.5) for corner in corners], fill=1)
    return np.asarray(drawn)


def ask_blender(files: list[Path], camera: Cameras, seconds: list[float], folder: Path) -> dict:
    """Render files at times by Blender, into picture_0.png and so on; return what it says of them."""
    to_opengl = torch.diag(torch.tensor([1.0, -1, -1, 1]))
    matrix = torch.linalg.inv(torch.as_tensor(camera.viewmats[0]).float()) @ to_opengl
    job = {
        "files": [str(file) for file in files],
        "seconds": seconds,
        "camera": matrix.tolist(),
        "fov_deg": camera.fov_deg,
        "size": SIZE,
        "out": str(folder / "picture_{}.png"),
    }
    if files[0].suffix == ".abc":
        job["texture"] = str(folder / "a_texture.png")
    (folder / "job.json").write_text(json.dumps(job))
    script = Path(__file__).with_name("blender_render.py")
    done = subprocess.run([BLENDER, script, folder / "job.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("found: ")]
    return json.loads(line.removeprefix("found: "))


@pytest.mark.parametrize("kind", FILES)
def test_blender_shows_it_where_we_do_in_its_colours(
    asset: Asset4D, mesh: Mesh4D, tmp_path: Path, kind: str
) -> None:
    name, settings = FILES[kind]
    export(asset, tmp_path / name, ExportSettings(**settings))
    files = [tmp_path / name]
    if kind == "OBJ":
        files = [tmp_path / "a_000.obj", tmp_path / "a_003.obj"]  # of five
    camera = make_cameras([30.0], 20.0, radius=2.0, fov_deg=33.8, height=SIZE, width=SIZE)
    seconds = [time * mesh.metadata.duration_s for time in TIMES]
    found = ask_blender(files, camera, seconds, tmp_path)
    assert found["triangles"] == [len(mesh.triangles)]
    assert found["images"] == [[64, 64]]
    shown = []
    for number, time in enumerate(TIMES):
        picture = np.asarray(Image.open(tmp_path / f"picture_{number}.png").convert("RGBA")).astype(int)
        vertices = mesh.at(time)
        ours, theirs = silhouette(mesh, vertices, camera), picture[..., 3] > 127
        shown.append(theirs)
        # Some 7,000 pixels, whose outline has 350: half a pixel all along it is 0.975, and PIL fills pixels
        # that a triangle only touches.
        assert (ours & theirs).sum() / (ours | theirs).sum() > 0.96
        if kind != "OBJ":  # which is lit, and there is no light
            check_colours(mesh, vertices, camera, picture)
    both = shown[0] & shown[1]
    assert both.sum() / (shown[0] | shown[1]).sum() < 0.9, "it must have moved by more than the tolerance"


def check_colours(mesh: Mesh4D, vertices: torch.Tensor, camera: Cameras, picture: np.ndarray) -> None:
    """Compare what is seen at vertices that face the camera with the texture there."""
    towards = torch.nn.functional.normalize(torch.as_tensor(camera.positions[0]).float() - vertices, dim=1)
    facing = ((mesh.normals(vertices) * towards).sum(1) > 0.6) & ((mesh.uvs[:, 0] - 0.5).abs() < 0.45)
    columns, rows = np.floor(project(vertices, camera)).astype(int).T
    seen = picture[rows[facing], columns[facing], :3] / 255
    u, v = mesh.uvs[facing].T.numpy()
    # Red goes from 0 to 1 along v, green along u; a pixel is about a 60th of it, and its middle is meant.
    assert facing.sum() > 100
    np.testing.assert_allclose(seen[:, 0], v, atol=0.03)
    np.testing.assert_allclose(seen[:, 1], u, atol=0.03)
    assert seen[:, 2].max() < 0.02
    assert np.ptp(seen[:, 0]) > 0.3
    assert np.ptp(seen[:, 1]) > 0.2
