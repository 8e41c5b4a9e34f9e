"""The exported mesh in three.js, in a real browser: it is there, in its place, and it moves."""

import functools
import math
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion2.config import ExportSettings
from diffusion2.exporters.glb import lay_out
from diffusion2.gaussians import AssetMetadata, DeformationField, DeformationSettings
from diffusion2.gaussians.mesh import Mesh4D

THREE = Path(__file__).parents[1] / "node" / "node_modules" / "three"
PAGE = """<!doctype html><title>loading</title><body style="margin: 0">
<script type="importmap">{"imports": {"three": "/three/build/three.module.js"}}</script>
<script type="module">
import * as THREE from "three";
import { GLTFLoader } from "/three/examples/jsm/loaders/GLTFLoader.js";
const renderer = new THREE.WebGLRenderer({ preserveDrawingBuffer: true });
renderer.setSize(320, 280);
document.body.append(renderer.domElement);
const scene = new THREE.Scene();
scene.background = new THREE.Color(1, 1, 1);
const camera = new THREE.PerspectiveCamera(33.8, 320 / 280, 0.1, 10);
camera.position.set(0, 0, 2);
new GLTFLoader().load("/object.glb", (gltf) => {
  scene.add(gltf.scene);
  const mixer = new THREE.AnimationMixer(gltf.scene);
  const action = mixer.clipAction(gltf.animations[0]);
  action.setLoop(THREE.LoopOnce);
  action.clampWhenFinished = true;
  action.play();
  window.show = (seconds) => { mixer.setTime(seconds); renderer.render(scene, camera); return seconds; };
  document.title = "ready";
}, undefined, (error) => { document.title = "error: " + error; });
</script>
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A folder that is served on this machine, with three.js in it."""
    if not THREE.is_dir():
        pytest.skip("needs three.js (npm install --prefix tests/node)")
    (tmp_path / "three").symlink_to(THREE)
    (tmp_path / "index.html").write_text(PAGE)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/index.html"
    server.shutdown()
    server.server_close()
    thread.join()


def red_box() -> Mesh4D:
    """A box from -0.2 to 0.2, red, that goes to the reference camera's right by 0.4 and turns on its way."""
    corners = torch.tensor([[x, y, z] for x in (-0.2, 0.2) for y in (-0.2, 0.2) for z in (-0.2, 0.2)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = torch.tensor([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    field = DeformationField(DeformationSettings(1, 4, 0, 0, nodes=4), 0.1 * torch.eye(4)[:, :3])
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.zero_()
        field.time_inputs["0"].weight.fill_(1.0)
        field.head.weight[1] = 0.1
        field.head.weight[5] = math.tan(math.pi / 8) / 4
    red = torch.tensor([0.9, 0.1, 0.1]).expand(8, 8, 3)
    metadata = AssetMetadata(fps=8.0, frames=5)
    return Mesh4D(corners, triangles, torch.full((8, 2), 0.5), red, torch.arange(8), field, metadata)


@pytest.mark.parametrize("animation", ["skin", "morph"])
def test_three_js_shows_the_mesh_where_we_say_it_is(browser, site: str, tmp_path: Path, animation) -> None:
    lay_out(red_box(), ExportSettings(animation=animation)).save(tmp_path / "object.glb")
    browser.open(site)
    browser.wait_for("document.title && document.title !== 'loading'")
    assert browser.evaluate("document.title") == "ready"
    middles = []
    for seconds in (0.0, 0.49):
        browser.evaluate(f"show({seconds})")
        picture = browser.screenshot().astype(int)
        red = (picture[..., 0] - picture[..., 1] > 100).nonzero()
        assert len(red[0]) > 500
        # Unlit: the texture's colour as it is, but for rounding.
        np.testing.assert_allclose(picture[140, int(red[1].mean())], [230, 26, 26], atol=3)
        middles.append((red[0].mean(), red[1].mean()))
    pixels_per_unit = 140 / math.tan(math.radians(33.8 / 2)) / 2  # in the plane of the object's middle
    np.testing.assert_allclose(middles[0], (140, 160), atol=2)
    # 0.49 of 0.5 s; the box turns by half a right angle, and its nearer faces seem farther out.
    np.testing.assert_allclose(middles[1], (140, 160 + 0.392 * pixels_per_unit), atol=12)
    assert browser.errors == []
