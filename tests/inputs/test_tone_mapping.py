"""HDR becomes SDR by one curve: what is dark stays, what is bright keeps its order, the peak is white."""

import numpy as np
import pytest

from diffusion2.inputs.videos.tone_mapping import (
    BT709,
    BT2020,
    HLG,
    PQ,
    compress,
    peak_of,
    to_light,
    tone_map_to_srgb,
)


def grey(value):
    return np.full((1, 1, 3), round(value * 65535), np.uint16)


@pytest.mark.parametrize(
    ("transfer", "value", "nits"),
    # BT.2408-7, table 1: the reference white; BT.2100-2: the ends of both scales
    [(PQ, 0.58, 203), (HLG, 0.75, 203), (PQ, 1.0, 10000), (HLG, 1.0, 1000), (PQ, 0.0, 0), (HLG, 0.0, 0)],
)
def test_values_are_as_bright_as_the_recommendations_say(transfer, value, nits):
    # the values are given in whole percents, 1 % of PQ is 8 % of light
    assert float(to_light(grey(value), transfer).max()) * 203 == pytest.approx(nits, rel=0.03, abs=0.01)


@pytest.mark.parametrize("peak", [1.2, 2.0, 5.0, 50.0])
def test_the_curve_rises_to_white_and_leaves_the_dark_alone(peak):
    light = np.linspace(0, peak, 400)
    mapped = compress(light, peak)
    assert (np.diff(mapped) >= 0).all()
    assert mapped[-1] == pytest.approx(1, abs=1e-3)
    assert compress(np.array([0.01]), peak)[0] == pytest.approx(0.01, rel=0.02)
    assert (mapped <= light + 1e-4).all()


def test_a_video_without_highlights_keeps_its_white():
    light = np.ones((40, 40, 3), np.float32)
    light[0, 0] = 3.0  # one pixel of noise
    assert peak_of(light) == 1
    assert (tone_map_to_srgb(light.copy(), BT2020, 1.0) == 255).all()


def test_grey_stays_grey_in_all_primaries():
    for primaries in (BT709, BT2020, 11, 12):
        shown = tone_map_to_srgb(np.full((2, 2, 3), 0.2, np.float32), primaries, 1.0)
        assert (shown == shown[0, 0, 0]).all()
        assert shown[0, 0, 0] == round(255 * (1.055 * 0.2 ** (1 / 2.4) - 0.055))
