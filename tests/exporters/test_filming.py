"""Where the camera stands and which moment is seen: orbits, standing cameras, paths from files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diffusion2 import ExportSettings
from diffusion2.errors import InputError
from diffusion2.exporters.camera_path import read_camera_path
from diffusion2.exporters.filming import forth_and_back, plan_film, round_and_round
from diffusion2.gaussians import Asset4D, AssetMetadata


@pytest.fixture
def path_file(tmp_path: Path):
    """Writes a camera path and gives its file."""

    def write(content: object) -> Path:
        (tmp_path / "way.json").write_text(json.dumps(content))
        return tmp_path / "way.json"

    return write


def test_an_orbit_can_be_looped(rising_asset: Asset4D) -> None:
    film = plan_film(rising_asset, ExportSettings())
    azimuths, times = film.cameras.azimuths_deg, film.times
    assert azimuths[0] == 0
    assert azimuths[-1] + azimuths[1] == pytest.approx(360)
    assert times[0] == 0
    assert max(times) == 1
    assert times[-1] == pytest.approx(times[1])
    assert len(set(times)) == 13, "moments are shared between forth and back, and between the cycles"
    assert len(film) == 144
    assert film.cameras.width == film.cameras.height == 384


def test_a_motion_that_ends_where_it_begins_is_not_played_backwards() -> None:
    metadata = AssetMetadata(fps=8.0, frames=12)
    times = round_and_round(metadata, 24.0, closes=True)
    assert times == [step / 36 for step in range(36)]


def test_a_motion_that_does_not_close_is_shown_whole_where_forward_is_asked_for(rising_asset) -> None:
    film = plan_film(rising_asset, ExportSettings(loop="forward", camera="fixed", fps=8))
    assert film.times == [0, 0.25, 0.5, 0.75, 1]
    both = plan_film(rising_asset, ExportSettings(loop="pingpong", camera="fixed", fps=8))
    assert both.times == [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]


@pytest.mark.parametrize("frames", [1, 2, 5, 1000])
@pytest.mark.parametrize("fps", [0.1, 24.0, 240.0])
def test_any_length_of_sequence_makes_a_film(frames: int, fps: float) -> None:
    metadata = AssetMetadata(fps=8.0, frames=frames)
    films = [forth_and_back(metadata, fps), round_and_round(metadata, fps, closes=False)]
    if frames >= 3:  # of fewer it can't be told
        films.append(round_and_round(metadata, fps, closes=True))
    for times in films:
        assert len(times) >= 2
        assert all(0 <= time <= 1 for time in times)


def test_a_standing_camera_shows_one_round_or_as_many_as_fit(rising_asset: Asset4D) -> None:
    once = plan_film(rising_asset, ExportSettings(camera="fixed", fps=8))
    thrice = plan_film(rising_asset, ExportSettings(camera="fixed", fps=8, seconds=3))
    assert len(once) == 8
    assert list(thrice.times) == list(once.times) * 3
    assert set(thrice.cameras.azimuths_deg) == {0.0}


def test_what_stands_still_is_filmed_in_one_picture_or_while_the_camera_turns(rising_asset) -> None:
    still = replace(rising_asset, deformation=None)
    assert len(plan_film(still, ExportSettings(camera="fixed"))) == 1
    assert plan_film(still, ExportSettings(seconds=1)).times == [0.0] * 24
    assert plan_film(rising_asset, ExportSettings(seconds=1, time=0.5)).times == [0.5] * 24


def test_a_path_passes_through_its_keys_and_never_beyond_them(rising_asset, path_file) -> None:
    keys = [
        {"seconds": 0, "azimuth_deg": 10, "radius": 2},
        {"seconds": 1, "azimuth_deg": 100, "elevation_deg": 40, "time": 1},
        {"seconds": 2, "azimuth_deg": 90, "elevation_deg": 0, "radius": 4, "time": 0.5},
    ]
    path = path_file({"fov_deg": 40, "keys": keys})
    film = plan_film(rising_asset, ExportSettings(camera_path=path, fps=10, size=64))
    assert len(film) == 21
    cameras = film.cameras
    assert (cameras.fov_deg, cameras.width, film.fps) == (40, 64, 10)
    np.testing.assert_allclose(cameras.azimuths_deg[[0, 10, 20]], [10, 100, 90])
    np.testing.assert_allclose(cameras.elevations_deg[[0, 10, 20]], [40, 40, 0])  # held before the first
    np.testing.assert_allclose(cameras.radii[[0, 20]], [2, 4])
    assert (np.diff(cameras.radii) > 0).all(), "interpolated over the key that leaves it out"
    assert cameras.azimuths_deg.max() <= 100
    np.testing.assert_allclose(np.array(film.times)[[0, 10, 20]], [1, 1, 0.5])


def test_what_a_path_leaves_out_is_that_of_the_reference_camera(rising_asset, path_file) -> None:
    film = plan_film(rising_asset, ExportSettings(camera_path=path_file({"keys": [{"seconds": 1}]}), fps=8))
    known = rising_asset.metadata
    cameras = film.cameras
    assert set(cameras.azimuths_deg) == {known.azimuth_deg}
    assert set(cameras.elevations_deg) == {known.elevation_deg}
    assert set(cameras.radii) == {known.radius}
    assert cameras.fov_deg == known.fov_deg
    assert film.times == [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0], "the object moves at its own speed"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], 'no list "keys"'),
        ({"keys": []}, 'no list "keys"'),
        ({"keys": {"seconds": 0}}, 'no list "keys"'),
        ({"key": [], "keys": [{"seconds": 0}]}, "unknown 'key'"),
        ({"keys": [3]}, r"keys\[0\] must be a table"),
        ({"keys": [{"azimuth_deg": 0}]}, r"keys\[0\].seconds is missing"),
        ({"keys": [{"seconds": 0}, {"seconds": 1, "azimut_deg": 5}]}, r"keys\[1\].*did you mean azimuth_deg"),
        ({"keys": [{"seconds": 0, "elevation_deg": 91}]}, "between -90 and 90"),
        ({"keys": [{"seconds": 0, "radius": 0}]}, "radius must lie between"),
        ({"keys": [{"seconds": 0, "time": float("nan")}]}, "time must"),
        ({"keys": [{"seconds": 1}, {"seconds": 1}]}, "must grow"),
        ({"keys": [{"seconds": 0}], "fov_deg": 180}, "fov_deg must lie between"),
        ({"camera_path": [], "render_height": 9}, "camera path of nerfstudio"),
    ],
)
def test_a_path_that_makes_no_sense_is_one_clear_line(content, message, path_file) -> None:
    path = path_file(content)
    with pytest.raises(InputError, match=message) as caught:
        read_camera_path(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_not_there_or_no_json_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    for name in ("a.json", "b.json"):
        with pytest.raises(InputError, match=r"camera path .* can't be read"):
            read_camera_path(tmp_path / name)


def test_what_a_path_says_can_not_be_set_as_well(rising_asset, path_file) -> None:
    path = path_file({"keys": [{"seconds": 0, "time": 0}, {"seconds": 1, "time": 1}]})
    for other in ({"camera": "fixed"}, {"seconds": 3}):
        with pytest.raises(InputError, match="says what the camera path says, too"):
            ExportSettings(camera_path=path, **other)
    for other in ({"time": 0.5}, {"loop": "forward"}):
        with pytest.raises(InputError, match="says the object's times"):
            plan_film(rising_asset, ExportSettings(camera_path=path, **other))


def test_a_path_of_too_many_pictures_is_refused(rising_asset, path_file) -> None:
    path = path_file({"keys": [{"seconds": 0}, {"seconds": 3600}]})
    with pytest.raises(InputError, match="too long: at most"):
        plan_film(rising_asset, ExportSettings(camera_path=path, fps=240))
