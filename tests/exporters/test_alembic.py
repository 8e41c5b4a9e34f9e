"""The mesh as Alembic, read back by the Alembic project's own library."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion2 import ExportSettings, export
from diffusion2.errors import ExportError
from diffusion2.events import StageProgress, Warned
from diffusion2.exporters.axes import GLTF_FROM_WORLD, turn_points
from diffusion2.gaussians import Asset4D
from diffusion2.gaussians.mesh import Mesh4D

from .moving_ball import ball
from .test_model_place import ELSEWHERE

pytest.importorskip("alembic3d", reason="needs pip install 'diffusion2[alembic]'")
from alembic3d import Abc, AbcGeom


@pytest.fixture(scope="module")
def mesh() -> Mesh4D:
    return ball(24, 32)


@pytest.fixture
def asset(monkeypatch, mesh: Mesh4D, rising_asset: Asset4D) -> Asset4D:
    for library in ("skimage", "xatlas", "fast_simplification"):
        pytest.importorskip(library, reason="needs pip install 'diffusion2[alembic]'")
    monkeypatch.setattr("diffusion2.exporters.alembic.extract_mesh", lambda *_: mesh)
    return replace(rising_asset, deformation=mesh.deformation)


def schema_of(path: Path) -> AbcGeom.IPolyMeshSchema:
    place = AbcGeom.IXform(Abc.IArchive(str(path)).getTop(), "object")
    return AbcGeom.IPolyMesh(place, "mesh").getSchema()


def test_alembic_reads_the_motion_in_seconds(asset: Asset4D, mesh: Mesh4D, tmp_path: Path) -> None:
    export(asset, tmp_path / "a.abc")
    schema = schema_of(tmp_path / "a.abc")
    assert schema.getNumSamples() == 9
    for k, expected in enumerate(mesh.move(torch.linspace(0, 1, 9))):
        seconds = k / 16  # two a frame, 8 a second
        assert schema.getTimeSampling().getSampleTime(k) == pytest.approx(seconds)
        points = np.array([tuple(p) for p in schema.getValue(Abc.ISampleSelector(seconds)).getPositions()])
        np.testing.assert_allclose(points, turn_points(expected, GLTF_FROM_WORLD), atol=1e-6)


def test_triangles_are_clockwise_and_corners_have_their_place_in_the_texture(
    asset: Asset4D, mesh: Mesh4D, tmp_path: Path
) -> None:
    export(asset, tmp_path / "a.abc")
    schema = schema_of(tmp_path / "a.abc")
    first = schema.getValue()
    assert set(first.getFaceCounts()) == {3}
    corners = np.array(list(first.getFaceIndices())).reshape(-1, 3)
    np.testing.assert_array_equal(corners[:, ::-1], mesh.triangles)
    uvs = schema.getUVsParam()
    assert uvs.getScope() == AbcGeom.GeometryScope.kFacevaryingScope
    seen = np.array([tuple(uv) for uv in uvs.getExpandedValue().getVals()]).reshape(-1, 3, 2)
    np.testing.assert_allclose(seen * [1, -1] + [0, 1], mesh.uvs[corners], atol=1e-6)
    picture = np.asarray(Image.open(tmp_path / "a_texture.png"))
    np.testing.assert_allclose(picture / 255, mesh.texture, atol=0.5 / 255 + 1e-6)


def test_a_moment_and_an_asset_without_motion_are_one_sample(
    monkeypatch, asset: Asset4D, mesh: Mesh4D, tmp_path: Path
) -> None:
    export(asset, tmp_path / "moment.abc", ExportSettings(time=0.5))
    still = replace(mesh, deformation=None)
    monkeypatch.setattr("diffusion2.exporters.alembic.extract_mesh", lambda *_: still)
    export(replace(asset, deformation=None), tmp_path / "still.abc")
    for name, expected in (("moment.abc", mesh.at(0.5)), ("still.abc", mesh.vertices)):
        schema = schema_of(tmp_path / name)
        assert schema.getNumSamples() == 1
        points = np.array([tuple(p) for p in schema.getValue().getPositions()])
        np.testing.assert_allclose(points, turn_points(expected, GLTF_FROM_WORLD), atol=1e-6)


def test_in_a_models_place_it_stands_where_its_file_has_it(
    asset: Asset4D, mesh: Mesh4D, tmp_path: Path
) -> None:
    asset = replace(asset, metadata=replace(asset.metadata, model_frame=ELSEWHERE))
    export(asset, tmp_path / "a.abc", ExportSettings(frame="model"))
    place = AbcGeom.IXform(Abc.IArchive(str(tmp_path / "a.abc")).getTop(), "object").getSchema()
    matrix = place.getValue(Abc.ISampleSelector(0.0)).getMatrix()
    moved = [tuple(p * matrix) for p in schema_of(tmp_path / "a.abc").getValue().getPositions()]
    np.testing.assert_allclose(
        np.array(moved), ELSEWHERE.to_model(mesh.at(0.0).numpy()), rtol=1e-5, atol=1e-5
    )


def test_progress_is_reported_and_that_the_texture_stands_beside(asset: Asset4D, tmp_path: Path) -> None:
    events: list = []
    export(asset, tmp_path / "a.abc", report=events.append)
    assert [event.done for event in events if isinstance(event, StageProgress)][-1] == 9
    assert "give a_texture.png to the mesh" in [e.message for e in events if isinstance(e, Warned)][-1]


def test_a_full_disk_is_found_out_before_the_library_ends_the_process(
    asset: Asset4D, tmp_path: Path, small_files
) -> None:
    (tmp_path / "a.abc").write_text("before")
    with pytest.raises(ExportError, match="could not be written: File too large"):
        export(asset, tmp_path / "a.abc")
    assert [path.name for path in tmp_path.iterdir()] == ["a.abc"]
    assert (tmp_path / "a.abc").read_text() == "before"


def test_an_interrupted_export_leaves_what_was_there(asset: Asset4D, tmp_path: Path) -> None:
    (tmp_path / "a.abc").write_text("before")

    def interrupt(event) -> None:
        if getattr(event, "done", 0) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(asset, tmp_path / "a.abc", report=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["a.abc"]
    assert (tmp_path / "a.abc").read_text() == "before"


@pytest.mark.parametrize("rings", [2, 24])
def test_no_archive_is_larger_than_the_room_that_was_checked(
    monkeypatch, asset: Asset4D, tmp_path: Path, rings: int
) -> None:
    """The room is made by writing as many bytes; what Alembic writes is less."""
    made = []
    monkeypatch.setattr("diffusion2.exporters.alembic.extract_mesh", lambda *_: ball(rings, 4, nodes=0))
    monkeypatch.setattr(
        "diffusion2.exporters.alembic._check_room",
        lambda path, arrays, samples: made.append(arrays + 65536 + samples * 1024),
    )
    export(asset, tmp_path / "a.abc")
    assert (tmp_path / "a.abc").stat().st_size < made[0]
