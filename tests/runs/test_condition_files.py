"""What is known, and what was made, in a run's folder."""

import pytest
import torch

from diffusion2.config import GenerateSettings
from diffusion2.image_matrix import Conditions
from diffusion2.pictures import as_written
from diffusion2.runs.condition_files import (
    read_made_references,
    read_recorded_conditions,
    was_video_given,
    write_conditions,
    write_made_references,
)
from diffusion2.runs.run_folder import RunFolder


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("reference", ["first", "last"])
def test_conditions_are_read_as_they_were_written(tmp_path, channels, reference):
    settings = GenerateSettings(views=2, frames=3, reference_frame=reference)
    generator = torch.Generator().manual_seed(0)
    pictures = as_written(torch.rand(6, channels, 8, 8, generator=generator))
    run = RunFolder(tmp_path)
    given = Conditions(pictures[0], video=pictures[1:4])
    write_conditions(run, given, settings)
    known = read_recorded_conditions(run, settings)
    assert known is not None
    assert torch.equal(known.picture, given.picture)
    assert torch.equal(known.video, given.video)
    assert known.views is None
    made = Conditions(known.picture, known.video, torch.rand(2, channels, 8, 8, generator=generator))
    rounded = write_made_references(run, made, settings)
    assert (rounded.views - made.views)[:, 3:].abs().sum() < 2 * 64 / 255
    assert torch.equal(read_made_references(run, known, settings).views, rounded.views)
    # so a run that goes on sees the same to the bit
    again = rounded.with_channels(channels)
    assert torch.equal(again.views, rounded.views)
    assert torch.equal(again.video, given.video)


def test_a_made_video_is_not_a_given_one(tmp_path):
    run, settings = RunFolder(tmp_path), GenerateSettings(views=2, frames=3)
    assert was_video_given(run)  # a matrix that someone else wrote
    pictures = torch.rand(5, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    given = Conditions(pictures[0])
    write_conditions(run, given, settings)
    write_made_references(run, Conditions(pictures[0], pictures[:3], pictures[3:]), settings)
    assert not was_video_given(run)
    write_conditions(run, Conditions(pictures[0], pictures[:3]), settings)
    assert was_video_given(run)
