"""How a motion repeats."""

from itertools import pairwise

import pytest

from diffusion2.gaussians import Asset4D
from diffusion2.viewer.playback import Cycle


def test_a_motion_that_does_not_close_goes_forth_and_back(sliding_asset: Asset4D) -> None:
    cycle = Cycle.of(sliding_asset)
    assert cycle.period_s == pytest.approx(2.0)
    times = [cycle.at(seconds).time for seconds in (0, 0.25, 1.0, 1.25, 1.75, 2.0, 2.25)]
    assert times == pytest.approx([0, 0.25, 1, 0.75, 0.25, 0, 0.25])


def test_it_never_jumps() -> None:
    for cycle in (Cycle(2.0), Cycle(2.0, 0.5)):
        moments = [cycle.at(step / 100) for step in range(700)]
        # how far along a circle on which the first frame follows the last
        places = [moment.time + moment.closing * 0.25 for moment in moments]
        length = 1.25 if cycle.closing_s else float("inf")
        for here, there in pairwise(places):
            assert min(abs(there - here), length - abs(there - here)) < 0.011


def test_a_loop_takes_a_frames_time_from_its_last_frame_to_its_first() -> None:
    cycle = Cycle(1.0, closing_s=0.5)
    assert cycle.at(1.25).time == 1
    assert cycle.at(1.25).closing == pytest.approx(0.5)
    assert cycle.at(1.5).time == 0
    assert cycle.at(1.5).closing == 0
