"""Masks of one's own: what they do, what is refused, and that a run keeps them."""

import numpy as np
import pytest
from PIL import Image

from diffusion2.errors import InputError
from diffusion2.inputs.cutting.masks import apply_masks, mask_of
from diffusion2.runs.source import InputSettings, Source, hash_path, recorded_source

from .conftest import disc, moving_disc, read, write_frames, write_video

KEEP = InputSettings(framing="keep")


def noisy(picture, seed=0):
    """The disc on a ground that no rule cuts out."""
    noise = np.random.default_rng(seed).integers(0, 255, (picture.height, picture.width, 3), dtype=np.uint8)
    return Image.composite(picture, Image.fromarray(noise), white_on_black(picture))


def white_on_black(picture):
    return Image.fromarray((np.asarray(picture.convert("RGB")).min(-1) < 200).astype(np.uint8) * 255)


def masks(count=5):
    return [white_on_black(p) for p in moving_disc(count)]


def write_noisy_frames(folder, count=5):
    return write_frames(folder, [noisy(p, i) for i, p in enumerate(moving_disc(count))])


def same(conditions, pictures_folder):
    wanted, _ = read(pictures_folder, KEEP)
    return (conditions.video - wanted.video).abs().mean() < 0.01  # scaling and compression blur the edges


def test_a_mask_cuts_a_picture_out(tmp_path):
    noisy(disc()).save(tmp_path / "a.png")
    disc().save(tmp_path / "twin.png")
    white_on_black(disc()).save(tmp_path / "m.png")
    conditions, notes = read(Source(tmp_path / "a.png", settings=KEEP, mask=tmp_path / "m.png"))
    wanted, _ = read(tmp_path / "twin.png", KEEP)
    assert (conditions.picture - wanted.picture).abs().mean() < 0.01
    assert notes == []


@pytest.mark.parametrize("form", ["folder", "gif", "video"])
def test_masks_of_any_form_cut_frames_and_videos_out(tmp_path, form):
    write_frames(tmp_path / "twin", moving_disc(5))
    if form == "folder":
        given = write_frames(tmp_path / "m", masks())
        source = write_noisy_frames(tmp_path / "f")
    elif form == "gif":
        first, *others = masks()
        given = tmp_path / "m.gif"
        first.save(given, save_all=True, append_images=others, duration=100)
        source = write_noisy_frames(tmp_path / "f")
    else:
        given = write_video(tmp_path / "m.mp4", [m.convert("RGB") for m in masks()])
        source = write_video(tmp_path / "f.mp4", [noisy(p) for p in moving_disc(5)])
    conditions, notes = read(Source(source, settings=KEEP, mask=given))
    assert same(conditions, tmp_path / "twin")
    assert notes == []


def test_one_mask_serves_all_frames(tmp_path):
    write_frames(tmp_path / "f", [noisy(disc(), i) for i in range(5)])
    white_on_black(disc()).save(tmp_path / "m.png")
    conditions, _ = read(Source(tmp_path / "f", settings=KEEP, mask=tmp_path / "m.png"))
    assert same(conditions, write_frames(tmp_path / "twin", [disc()] * 5))


def test_given_masks_come_before_those_among_the_frames(tmp_path):
    folder = write_noisy_frames(tmp_path / "f")
    for index in range(5):
        Image.new("L", (64, 64), 255).save(folder / f"{index:03d}_mask.png")
    given = write_frames(tmp_path / "m", masks())
    conditions, _ = read(Source(folder, settings=KEEP, mask=given))
    assert same(conditions, write_frames(tmp_path / "twin", moving_disc(5)))


def test_frames_without_a_mask_are_cut_out_by_themselves(tmp_path):
    folder = write_frames(tmp_path / "f", [noisy(moving_disc(2)[0]), moving_disc(2)[1]])
    white_on_black(moving_disc(2)[0]).save(folder / "000_mask.png")
    conditions, notes = read(folder, frames=2)
    wanted, _ = read(write_frames(tmp_path / "twin", moving_disc(2)), frames=2)
    assert (conditions.video - wanted.video).abs().mean() < 0.02  # a mask's edge is sharper
    assert "1 frames have none" in notes[0]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (lambda f: write_frames(f / "m", masks(4)), "4 masks, .* 5 frames"),
        (lambda f: save(Image.new("L", (64, 64)), f / "m.png"), "black everywhere"),
        (lambda f: save(Image.new("L", (64, 32), 255), f / "m.png"), "64 x 32 pixels, its picture 64 x 64"),
        (lambda f: f / "nothing.png", "no file"),
        (lambda f: save(Image.new("L", (9, 9), 255), f / "m.png"), "too small"),
    ],
)
def test_masks_that_do_not_fit_are_refused(tmp_path, mask, message):
    folder = write_noisy_frames(tmp_path / "f")
    with pytest.raises(InputError, match=message):
        read(Source(folder, mask=mask(tmp_path)))


def save(picture, path):
    picture.save(path)
    return path


def test_a_mask_of_nothing_is_refused(tmp_path):
    mask = save(white_on_black(disc()), tmp_path / "m.png")
    with pytest.raises(InputError, match="nothing to start from"):
        read(Source(mask=mask))
    views = write_frames(tmp_path / "v", [disc()] * 4)
    with pytest.raises(InputError, match="--mask says what the object is in a picture or a video"):
        read(Source(views=views, mask=mask))


def test_soft_masks_and_alpha_stay_soft():
    grey = Image.new("L", (20, 20), 130)
    assert mask_of(grey).getpixel((3, 3)) == 130
    glass = Image.new("RGBA", (20, 20), (255, 0, 0, 90))
    assert mask_of(glass).getpixel((3, 3)) == 90
    (masked,), _ = apply_masks([glass], [Image.new("L", (20, 20), 200)], "m")
    assert masked.getpixel((3, 3)) == (255, 0, 0, 90)


def test_a_run_remembers_its_mask_by_hash(tmp_path):
    disc().save(tmp_path / "a.png")
    mask = save(white_on_black(disc()), tmp_path / "m.png")
    source = Source(tmp_path / "a.png", mask=mask)
    record = source.to_record()
    assert record["mask"]["sha256"] == hash_path(mask)
    assert recorded_source(record).mask == str(mask)
    assert Source(tmp_path / "a.png").is_recorded(record)
    assert source.is_recorded(record)
    Image.new("L", (64, 64), 255).save(mask)
    assert not source.is_recorded(record)


def test_the_hash_of_a_folder_counts_masks_and_not_what_systems_leave(tmp_path):
    folder = write_frames(tmp_path / "f", moving_disc(2))
    before = hash_path(folder)
    for name in ("Thumbs.db", ".DS_Store", "._000.png"):
        (folder / name).write_bytes(b"")
    assert hash_path(folder) == before
    write_frames(folder / "masks", masks(2))
    assert hash_path(folder) != before
