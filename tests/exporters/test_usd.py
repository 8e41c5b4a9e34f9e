"""USD scenes, checked by two sets of validators and played by OpenUSD's own readers."""

import io
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion2 import ExportSettings, export
from diffusion2.errors import BackendUnavailable, ExportError
from diffusion2.exporters.axes import GLTF_FROM_WORLD, turn_gaussians, turn_points
from diffusion2.gaussians import Asset4D
from diffusion2.gaussians.mesh import Mesh4D
from diffusion2.quaternions import rotation_matrices

from .moving_ball import ball
from .test_model_place import ELSEWHERE

pytest.importorskip("pxr", reason="needs pip install 'diffusion2[usd]'")
from pxr import Gf, Usd, UsdGeom, UsdShade, UsdSkel, UsdValidation, UsdVol

MOVES = {"skin": {}, "morph": {"animation": "morph"}}
FILES = {
    "skin": ("a.usdc", {}), "text": ("a.usda", {}), "morph": ("a.usdc", {"animation": "morph"}),
    "still": ("a.usdc", {"time": 0.5}), "packed": ("a.usdz", {}),
    "splats": ("a.usdc", {}), "splats as text": ("a.usda", {"time": 0.5}),
}  # fmt: skip


@pytest.fixture(scope="module")
def mesh() -> Mesh4D:
    return ball(24, 32)


@pytest.fixture
def asset(monkeypatch, mesh: Mesh4D, rising_asset: Asset4D) -> Asset4D:
    """An asset whose mesh is that ball, found at once."""
    for library in ("skimage", "xatlas", "fast_simplification"):
        pytest.importorskip(library, reason="needs pip install 'diffusion2[usd]'")
    monkeypatch.setattr("diffusion2.exporters.usd.mesh.extract_mesh", lambda *_: mesh)
    return replace(rising_asset, deformation=mesh.deformation)


def complaints(path: Path) -> list[str]:
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 20
    found = UsdValidation.ValidationContext(validators).Validate(Usd.Stage.Open(str(path)))
    return [error.GetErrorAsString() for error in found]


def points_of(stage: Usd.Stage, code: float) -> np.ndarray:
    """Where OpenUSD puts the mesh's points at a time code, by its skeleton if there is one."""
    shown = UsdGeom.Mesh.Get(stage, "/object/mesh")
    points = shown.GetPointsAttr().Get(code)
    if shown.GetPrim().HasAPI(UsdSkel.BindingAPI):
        cache, root = UsdSkel.Cache(), UsdSkel.Root.Get(stage, "/object")
        cache.Populate(root, Usd.PrimDefaultPredicate)
        skinning = cache.GetSkinningQuery(shown.GetPrim())
        skeleton = cache.GetSkelQuery(UsdSkel.Skeleton.Get(stage, "/object/skeleton"))
        skinning.ComputeSkinnedPoints(skeleton.ComputeSkinningTransforms(code), points, code)
    return np.array(points)


@pytest.mark.parametrize("kind", FILES)
def test_the_validators_find_nothing_to_say(asset: Asset4D, tmp_path: Path, kind: str) -> None:
    name, settings = FILES[kind]
    export(asset, tmp_path / name, ExportSettings(**settings), name="splats" if "splats" in kind else None)
    assert complaints(tmp_path / name) == []


@pytest.mark.parametrize("kind", FILES)
def test_nvidias_validators_find_nothing_to_say(asset: Asset4D, tmp_path: Path, kind: str) -> None:
    """They look closer: at extents, normals, and at the numbers of splats."""
    nvidia = pytest.importorskip("usd_validation_nvidia", reason="needs pip install usd-validation-nvidia")
    name, settings = FILES[kind]
    export(asset, tmp_path / name, ExportSettings(**settings), name="splats" if "splats" in kind else None)
    issues = nvidia.ValidationEngine().validate(str(tmp_path / name)).issues()
    # What it warns of is the ball's shape at its poles. Text is large, which whoever asks for it knows.
    failures = [issue for issue in issues if issue.severity is not nvidia.IssueSeverity.WARNING]
    assert [i.message for i in failures if i.rule.__name__ != "UsdAsciiPerformanceChecker"] == []


def test_the_scene_says_its_axes_units_and_clock(asset: Asset4D, tmp_path: Path) -> None:
    export(asset, tmp_path / "a.usdc")
    export(asset, tmp_path / "s.usdc", name="splats")
    for name in ("a.usdc", "s.usdc"):
        stage = Usd.Stage.Open(str(tmp_path / name))
        assert UsdGeom.GetStageUpAxis(stage) == "Y"
        assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
        assert stage.GetTimeCodesPerSecond() == stage.GetFramesPerSecond() == 24.0
        assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0.0, 12.0)  # 5 frames, 8 a second
        assert stage.GetDefaultPrim().GetPath() == "/object"
    export(asset, tmp_path / "still.usdc", ExportSettings(time=0.5))
    still = Usd.Stage.Open(str(tmp_path / "still.usdc"))
    assert not still.HasAuthoredTimeCodeRange()
    assert not UsdGeom.Mesh.Get(still, "/object/mesh").GetPointsAttr().ValueMightBeTimeVarying()


@pytest.mark.parametrize("kind", MOVES)
def test_played_by_openusd_it_moves_as_the_field_moves_it(
    asset: Asset4D, mesh: Mesh4D, tmp_path: Path, kind: str
) -> None:
    export(asset, tmp_path / "a.usdc", ExportSettings(**MOVES[kind]))
    stage = Usd.Stage.Open(str(tmp_path / "a.usdc"))
    # Bones come close, as in glTF; time samples are what the field says, in float32.
    tolerance = 0.005 if kind == "skin" else 1e-6
    times = torch.linspace(0, 1, 9)
    for time, expected in zip(times.tolist(), mesh.move(times), strict=True):
        expected = turn_points(expected, GLTF_FROM_WORLD)
        np.testing.assert_allclose(points_of(stage, 12 * time), expected, atol=tolerance)
    box = np.array(UsdGeom.BBoxCache(6.0, ["default"]).ComputeWorldBound(
        stage.GetDefaultPrim()).ComputeAlignedRange().GetSize())  # fmt: skip
    assert 0.8 < box.max() < 1.5


def test_triangles_texture_and_normals_are_the_meshs(asset: Asset4D, mesh: Mesh4D, tmp_path: Path) -> None:
    export(asset, tmp_path / "a.usda", ExportSettings(time=0.0))
    stage = Usd.Stage.Open(str(tmp_path / "a.usda"))
    shown = UsdGeom.Mesh.Get(stage, "/object/mesh")
    assert shown.GetOrientationAttr().Get() == "rightHanded"
    assert shown.GetSubdivisionSchemeAttr().Get() == "none"
    np.testing.assert_array_equal(shown.GetFaceVertexIndicesAttr().Get(), mesh.triangles.flatten())
    normals = turn_points(mesh.normals(mesh.at(0.0)), GLTF_FROM_WORLD)
    np.testing.assert_allclose(shown.GetNormalsAttr().Get(), normals, atol=1e-5)
    u, v = np.array(UsdGeom.PrimvarsAPI(shown).GetPrimvar("st").Get()).T
    np.testing.assert_allclose(np.stack([u, 1 - v], axis=1), mesh.uvs, atol=1e-6)

    material = UsdShade.MaterialBindingAPI(shown).ComputeBoundMaterial()[0]
    surface = material.ComputeSurfaceSource()[0]
    texture = UsdShade.Shader(surface.GetInput("emissiveColor").GetConnectedSource()[0])
    file = texture.GetInput("file").Get()
    assert (file.path, Path(file.resolvedPath)) == ("./a_texture.png", tmp_path / "a_texture.png")
    picture = np.asarray(Image.open(file.resolvedPath))
    np.testing.assert_allclose(picture / 255, mesh.texture, atol=0.5 / 255 + 1e-6)
    assert surface.GetInput("diffuseColor").Get() == (0, 0, 0), "it glows and reflects nothing"


def test_a_usdz_is_one_file_with_its_texture(asset: Asset4D, mesh: Mesh4D, tmp_path: Path) -> None:
    export(asset, tmp_path / "a.usdz")
    assert [path.name for path in tmp_path.iterdir()] == ["a.usdz"]
    with ZipFile(tmp_path / "a.usdz") as archive:
        assert archive.namelist() == ["object.usdc", "object_texture.png"]
        picture = np.asarray(Image.open(io.BytesIO(archive.read("object_texture.png"))))
    np.testing.assert_allclose(picture / 255, mesh.texture, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("suffix", ["usdc", "usda"])
def test_splats_are_the_gaussians_at_each_time(asset: Asset4D, tmp_path: Path, suffix: str) -> None:
    shN = torch.randn(len(asset.gaussians), 8, 3, generator=torch.Generator().manual_seed(1))
    asset = replace(asset, gaussians=replace(asset.gaussians, shN=shN))
    path = tmp_path / f"a.{suffix}"
    export(asset, path, name="splats")
    stage = Usd.Stage.Open(str(path))
    splats = UsdVol.ParticleField3DGaussianSplat.Get(stage, "/object/splats")
    assert splats.GetPositionsAttr().GetTimeSamples() == [1.5 * k for k in range(9)]
    assert not splats.GetScalesAttr().ValueMightBeTimeVarying(), "they stay"
    for time in (0.0, 0.5, 1.0):
        code, still = 12 * time, turn_gaussians(asset.at(time), GLTF_FROM_WORLD)
        np.testing.assert_allclose(splats.GetPositionsAttr().Get(code), still.means, atol=1e-6)
        np.testing.assert_allclose(splats.GetScalesAttr().Get(code), still.scales, rtol=1e-6)
        turns = [Gf.Matrix3d(Gf.Rotation(q)).GetTranspose() for q in splats.GetOrientationsAttr().Get(code)]
        np.testing.assert_allclose(np.array(turns), rotation_matrices(still.quats), atol=1e-5)
        low, high = np.array(splats.GetExtentAttr().Get(code))
        assert ((still.means > torch.tensor(low)) & (still.means < torch.tensor(high))).all()
    np.testing.assert_allclose(splats.GetOpacitiesAttr().Get(), still.opacities, rtol=1e-6)
    assert splats.GetRadianceSphericalHarmonicsDegreeAttr().Get() == 2
    harmonics = np.array(splats.GetRadianceSphericalHarmonicsCoefficientsAttr().Get()).reshape(-1, 9, 3)
    np.testing.assert_allclose(harmonics, torch.cat([still.sh0, still.shN], dim=1), atol=1e-6)
    assert Usd.ColorSpaceAPI(splats).GetColorSpaceNameAttr().Get() == Gf.ColorSpaceNames.SRGBRec709


def test_splats_at_one_moment_and_without_motion_stand_still(asset: Asset4D, tmp_path: Path) -> None:
    export(asset, tmp_path / "a.usdc", ExportSettings(time=0.5), name="splats")
    export(replace(asset, deformation=None), tmp_path / "b.usdc", name="splats")
    for name, time in (("a.usdc", 0.5), ("b.usdc", None)):
        stage = Usd.Stage.Open(str(tmp_path / name))
        positions = UsdVol.ParticleField3DGaussianSplat.Get(stage, "/object/splats").GetPositionsAttr()
        assert not positions.ValueMightBeTimeVarying()
        means = asset.gaussians.means if time is None else asset.at(time).means
        np.testing.assert_allclose(positions.Get(), turn_points(means, GLTF_FROM_WORLD), atol=1e-6)


def test_in_a_models_place_mesh_and_splats_stand_where_its_file_has_them(
    asset: Asset4D, mesh: Mesh4D, tmp_path: Path
) -> None:
    asset = replace(asset, metadata=replace(asset.metadata, model_frame=ELSEWHERE))
    export(asset, tmp_path / "a.usdc", ExportSettings(frame="model"))
    stage = Usd.Stage.Open(str(tmp_path / "a.usdc"))
    matrix = np.array(UsdGeom.Xformable.Get(stage, "/object/mesh").ComputeLocalToWorldTransform(6.0))
    points = points_of(stage, 6.0) @ matrix[:3, :3] + matrix[3, :3]
    expected = ELSEWHERE.to_model(mesh.at(0.5).numpy())
    np.testing.assert_allclose(points, expected, atol=0.005 / ELSEWHERE.scale)
    export(asset, tmp_path / "s.usdc", ExportSettings(frame="model"), name="splats")
    stage = Usd.Stage.Open(str(tmp_path / "s.usdc"))
    splats = UsdVol.ParticleField3DGaussianSplat.Get(stage, "/object/splats")
    expected = ELSEWHERE.to_model(asset.at(0.5).means.numpy())
    np.testing.assert_allclose(splats.GetPositionsAttr().Get(6.0), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "as_format"), [("a.usdc", None), ("a.usda", "splats"), ("a.usdz", None)])
def test_a_full_disk_leaves_what_was_there(
    asset: Asset4D, tmp_path: Path, small_files, name: str, as_format: str | None
) -> None:
    (tmp_path / name).write_text("before")
    with pytest.raises(ExportError, match="could not be written"):
        export(asset, tmp_path / name, name=as_format)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "before"


def test_an_openusd_without_gaussians_is_told_to_be_renewed(monkeypatch, asset: Asset4D, tmp_path: Path):
    monkeypatch.delattr(UsdVol, "ParticleField3DGaussianSplat")
    with pytest.raises(BackendUnavailable, match=r"need OpenUSD 26.3, .* pip install -U 'diffusion2\[usd\]'"):
        export(asset, tmp_path / "a.usdc", name="splats")


def test_an_interrupted_export_leaves_nothing(asset: Asset4D, tmp_path: Path) -> None:
    def interrupt(event) -> None:
        if getattr(event, "done", 0) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(asset, tmp_path / "a.usdc", name="splats", report=interrupt)
    assert list(tmp_path.iterdir()) == []
