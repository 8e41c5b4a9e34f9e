import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from diffusion2.errors import InputError
from diffusion2.pictures import (
    NoPicture,
    as_written,
    from_pixels,
    on_white,
    open_picture,
    pixels_on_white,
    read_on_white,
    read_picture,
    split_alpha,
    straight,
    to_8_bit,
    to_bytes,
    to_pixels,
    with_alpha,
    write_picture,
)

BYTES = arrays.arrays(np.uint8, st.tuples(*[st.integers(1, 4)] * 3, st.sampled_from([1, 3, 4])))


@given(BYTES)
def test_bytes_survive_being_floats(pixels):
    images = from_pixels(pixels)
    assert images.shape == (len(pixels), pixels.shape[-1], *pixels.shape[1:3])
    assert images.is_contiguous()
    assert np.array_equal(to_pixels(images), pixels)


@given(BYTES)
def test_8_bit_values_stay_as_they_are(pixels):
    assert torch.equal(to_8_bit(from_pixels(pixels)), from_pixels(pixels))


def test_values_outside_are_clamped_and_others_rounded_to_the_nearest():
    values = torch.tensor([-1.0, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 7.0])
    assert to_bytes(values).tolist() == [0, 0, 0, 1, 255, 255]


@given(arrays.arrays(np.uint8, (2, 3, 4)))
def test_both_ways_onto_white_agree(rgba):
    floats = to_pixels(on_white(from_pixels(rgba))[0]).astype(int)
    # one step, where float32 rounds a half to either side
    assert np.abs(floats - pixels_on_white(rgba)).max() <= 1


@pytest.mark.parametrize("channels", [3, 4])
def test_a_written_picture_is_read_as_it_was(tmp_path, channels):
    pictures = torch.rand(2, 4, 6, 5, generator=torch.Generator().manual_seed(0))
    pictures = with_alpha(*on_white(pictures))[:, :channels]
    rounded = as_written(pictures)
    assert (rounded - pictures).abs().max() <= 1 / 255  # half a step of a colour, and of alpha
    write_picture(tmp_path / "a.png", rounded[1])
    read, alpha = read_on_white(tmp_path / "a.png")
    assert (alpha is None) == (channels == 3)
    assert torch.equal(with_alpha(read, alpha), rounded[1])
    assert torch.equal(as_written(rounded), rounded)


def test_joined_pictures_are_parted_again():
    rgb, alpha = torch.rand(2, 5, 3, 4, 4), torch.rand(2, 5, 1, 4, 4)
    parted = split_alpha(with_alpha(rgb, alpha))
    assert torch.equal(parted[0], rgb)
    assert parted[1] is not None
    assert torch.equal(parted[1], alpha)
    assert split_alpha(with_alpha(rgb, None))[1] is None


def test_straight_colours_go_onto_white_and_back():
    rgba = torch.rand(4, 8, 8, generator=torch.Generator().manual_seed(0))
    rgba[3, :2], rgba[3, 2:4] = 0, 1
    back = straight(with_alpha(*on_white(rgba)))
    assert not back[:3, :2].any()
    # float32 rounding, enlarged by the division by alpha
    seen = rgba[3] > 0.05
    assert torch.allclose(back[:, seen], rgba[:, seen], atol=1e-5)


def test_a_picture_survives_a_write_that_fails(tmp_path):
    path = tmp_path / "a.png"
    write_picture(path, torch.zeros(3, 4, 4))
    with pytest.raises(TypeError):
        write_picture(path, torch.zeros(5, 4, 4))
    assert torch.equal(read_on_white(path)[0], torch.zeros(3, 4, 4))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_brightness(tmp_path, suffix):
    ramp = np.linspace(0, 65535, 20 * 20).reshape(20, 20).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / f"a.{suffix}")
    image, alpha = read_on_white(tmp_path / f"a.{suffix}")
    assert alpha is None
    # half a step of 8 bits
    np.testing.assert_allclose(image.numpy(), np.repeat(ramp[None] / 65535, 3, 0), atol=0.51 / 255)


def test_one_value_of_16_bit_grey_can_be_transparent(tmp_path):
    grey = np.full((20, 20), 30000, np.uint16)
    grey[:5] = 1234
    Image.fromarray(grey).save(tmp_path / "a.png", transparency=1234)
    image, alpha = read_on_white(tmp_path / "a.png")
    assert alpha is not None
    assert torch.equal(alpha[0, :, 0], torch.tensor([0.0] * 5 + [1.0] * 15))
    assert torch.equal(image[:, :5], torch.ones(3, 5, 20))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_every_mode_is_read_as_rgb_with_alpha_where_it_has_one(tmp_path, mode):
    white = Image.new("RGB", (8, 6), "white")
    if mode == "I;16":
        white = Image.fromarray(np.full((6, 8), 65535, np.uint16))
    white = white.convert(mode) if mode not in ("I;16", "F") else white
    if mode == "F":
        white = Image.fromarray(np.ones((6, 8), np.float32))
    white.save(tmp_path / "a.tif")
    picture = read_picture(tmp_path / "a.tif")
    assert picture.mode == ("RGBA" if mode in ("LA", "RGBA") else "RGB")
    assert torch.equal(read_on_white(tmp_path / "a.tif")[0], torch.ones(3, 6, 8))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_shown_upright(tmp_path, orientation, suffix):
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:8] = (255, 0, 0)
    upright[:, :16] = (0, 0, 255)
    # how a camera stores what `orientation` brings upright again
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if suffix == "webp" else {}
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, **lossless)
    shown = np.asarray(read_picture(path)).astype(int)
    assert shown.shape == upright.shape
    # JPEG smears colours over the edge by a pixel or two; a wrong turn would differ by more than 30
    assert np.abs(shown - upright).mean() < (8 if suffix == "jpg" else 1e-9)


def test_what_is_no_picture_is_said_so(tmp_path):
    (tmp_path / "a.png").write_bytes(b"hello, this is not a picture")
    with pytest.raises(NoPicture, match="no picture"):
        open_picture(tmp_path / "a.png")
    with pytest.raises(InputError, match="No such file"):
        read_picture(tmp_path / "b.png")
