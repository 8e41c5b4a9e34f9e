"""Several known parts together: which decides the frame, and how the others agree with it."""

import pytest
import torch
from PIL import Image

from diffusion2.config import GenerateSettings
from diffusion2.errors import InputError
from diffusion2.image_matrix import Conditions, turn_time, view_cameras
from diffusion2.runs.source import InputSettings, Source

from .conftest import disc, moving_disc, read, write_frames


def orbit_pictures(count, size=(64, 64), radius=10):
    """Views of a disc beside the axis, so that it goes left and right; in the last it is in the middle."""
    return [
        disc(x=32 + 8 * (i % 2) * (-1) ** (i // 2), radius=radius, size=size) for i in range(1, count)
    ] + [disc(radius=radius, size=size)]


def box(picture):
    """(left, top, right, bottom) of what is not white in a (3, H, W) picture."""
    rows, columns = torch.nonzero((picture < 0.9).any(0), as_tuple=True)
    return torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()


def test_a_picture_alone_is_the_reference(tmp_path):
    disc().save(tmp_path / "a.png")
    conditions, _ = read(tmp_path / "a.png")
    assert conditions.video is None
    assert conditions.views is None
    assert conditions.picture.shape == (3, 32, 32)


def test_views_alone_end_with_the_reference(tmp_path):
    conditions, _ = read(Source(views=write_frames(tmp_path / "v", orbit_pictures(4))))
    assert conditions.views.shape == (4, 3, 32, 32)
    assert (conditions.picture == conditions.views[-1]).all()
    assert conditions.video is None


def test_views_keep_the_axis_that_they_turn_about_in_the_middle(tmp_path):
    conditions, _ = read(Source(views=write_frames(tmp_path / "v", orbit_pictures(4))), size=64)
    left, _, right, _ = box(conditions.views[-1])
    assert (left + right) / 2 == pytest.approx(32, abs=0.6)


def test_another_number_of_views_is_refused(tmp_path):
    with pytest.raises(InputError, match="--views 5"):
        read(Source(views=write_frames(tmp_path / "v", orbit_pictures(5))))


@pytest.mark.parametrize("scale", [1, 3])
def test_views_and_video_of_different_resolution_agree_about_the_shared_picture(tmp_path, scale):
    views = orbit_pictures(4, size=(64 * scale, 64 * scale), radius=10 * scale)
    views = [v if scale == 1 else disc(x=96, y=96, radius=30, size=(192, 192)) for v in views]
    write_frames(tmp_path / "v", views)
    write_frames(tmp_path / "f", moving_disc(5))
    conditions, _ = read(Source(tmp_path / "f", views=tmp_path / "v"), size=64)
    # a pixel of rounding of the crops, one of the edges' softness
    assert (box(conditions.video[0]) - box(conditions.views[-1])).abs().max() <= 2
    for frame in conditions.video:
        left, top, right, bottom = box(frame)
        assert min(left, top) >= 1
        assert max(right, bottom) <= 63


def test_a_picture_beside_a_video_is_framed_like_its_first_frame(tmp_path):
    disc(x=100, y=60, radius=40, size=(200, 160)).save(tmp_path / "large.png")
    write_frames(tmp_path / "f", moving_disc(5))
    conditions, _ = read(Source(tmp_path / "large.png", video=tmp_path / "f"), size=64)
    assert (box(conditions.picture) - box(conditions.video[0])).abs().max() <= 2
    assert (conditions.picture != conditions.video[0]).any()


def test_pictures_that_are_framed_already_pass_unchanged(tmp_path):
    pictures = [disc(x=20 + 4 * i, radius=5, size=(32, 32)) for i in range(3)]
    keep = InputSettings(framing="keep")
    folder = write_frames(tmp_path / "f", pictures)
    conditions, _ = read(Source(folder, settings=keep), frames=3)
    for frame, picture in zip(conditions.video, pictures, strict=True):
        expected = torch.tensor(list(picture.tobytes())).reshape(32, 32, 3).permute(2, 0, 1) / 255
        assert torch.equal(frame, expected)


def test_alpha_says_what_is_the_object_even_where_that_is_white(tmp_path):
    picture = Image.new("RGBA", (64, 64), (10, 200, 30, 0))
    picture.paste((255, 255, 255, 255), (20, 10, 44, 54))
    picture.save(tmp_path / "a.png")
    shown = read(tmp_path / "a.png", channels=4)[0].picture
    assert shown.shape == (4, 32, 32)
    assert (shown[:3] == 1).all()
    covered = float(shown[3].mean())
    # object_size of the frame high, and 24 / 44 of that wide
    assert covered == pytest.approx(GenerateSettings().object_size ** 2 * 24 / 44, rel=0.1)
    assert set(torch.unique(shown[3]).tolist()) >= {0.0, 1.0}


def test_a_plain_background_is_no_object_in_pictures_that_are_kept(tmp_path):
    keep = InputSettings(framing="keep")
    disc(radius=5, size=(32, 32)).save(tmp_path / "a.png")
    shown = read(Source(tmp_path / "a.png", settings=keep), channels=4)[0].picture
    coloured = (shown[:3] < 0.9).any(0)
    assert 0 < coloured.float().mean() < 0.2
    assert torch.equal(shown[3] > 0.5, coloured)
    cut = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    cut.paste((0, 0, 255, 128), (8, 8, 24, 24))
    cut.save(tmp_path / "b.png")
    shown = read(Source(tmp_path / "b.png", settings=keep), channels=4)[0].picture
    assert float(shown[3, 16, 16]) == pytest.approx(128 / 255)
    assert float(shown[3].mean()) == pytest.approx(128 / 255 / 4)


def test_pictures_without_alpha_are_refused_where_it_is_needed():
    conditions = Conditions(torch.rand(3, 8, 8))
    assert conditions.with_channels(3).picture is conditions.picture
    with pytest.raises(InputError, match="need pictures with alpha"):
        conditions.with_channels(4)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Source(), "nothing to start from"),
        (Source("{d}/a.png", prompt="a fox"), "not both"),
        (Source(prompt="a fox"), "--text-model"),
        (Source("{d}/f", video="{d}/f"), "can't be given beside it"),
        (Source("{d}/a.png", views="{d}/a.png"), "is a file"),
        (Source("{d}/a.png", views="{d}/nothing"), "no file"),
        (Source("{d}/a.png", video="{d}/nothing"), "no file"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(tmp_path, source, message):
    disc().save(tmp_path / "a.png")
    write_frames(tmp_path / "f", moving_disc(3))
    place = {part: str(path).format(d=tmp_path) for part, path in source.files.items()}
    with pytest.raises(InputError, match=message):
        read(Source(**place, prompt=source.prompt))


def test_a_first_frame_without_object_is_refused(tmp_path):
    empty = disc(x=-50)
    write_frames(tmp_path / "f", [empty, *moving_disc(4)])
    with pytest.raises(InputError, match="no object at the reference"):
        read(tmp_path / "f")
    # the object may leave later, and then that frame is white
    write_frames(tmp_path / "g", [*moving_disc(4), empty])
    assert (read(tmp_path / "g")[0].video[-1] == 1).all()


def test_azimuths_of_views_reach_the_cameras():
    settings = GenerateSettings(views=3, azimuths_deg=(45.0, 180.0, 360.0), elevation_deg=-5)
    assert view_cameras(settings).azimuths_deg.tolist() == [45, 180, 360]
    assert set(view_cameras(settings).elevations_deg) == {-5}
    for wrong, message in (
        ((0.0,), "3 views"),
        ((1.0, 2.0, 3.0), "last azimuth"),
        ((float("nan"), 1, 0), "lie"),
    ):
        with pytest.raises(InputError, match=message):
            GenerateSettings(views=3, azimuths_deg=wrong)


def test_turning_time_twice_changes_nothing():
    settings = GenerateSettings(reference_frame="last")
    images = torch.rand(3, 2)
    assert torch.equal(turn_time(turn_time(images, settings), settings), images)
    assert torch.equal(turn_time(images, settings), images.flip(0))
