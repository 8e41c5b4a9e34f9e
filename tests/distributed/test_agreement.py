"""Any number of processes sample the same matrix: tiny networks, stage 1 as `generate` calls it."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from diffusion2.config import GenerateSettings, SamplingSettings
from diffusion2.distributed import joined
from diffusion2.image_matrix import Conditions
from diffusion2.sampling import decode_matrix, sample_matrix, sample_references

from ..end_to_end.conftest import mini_weights as mini_weights
from .together import run_together

SIZES = (1, 2, 3, 4)
PLAIN = GenerateSettings(
    seed=3,
    views=4,
    frames=5,
    size=32,
    sampling=SamplingSettings(
        steps=4, rollback_steps=1, precision="float32", guidance_sigma_low=0.3, video_cond_aug=0.1
    ),
)
CASES = {
    "mirrored": replace(PLAIN, sampling=replace(PLAIN.sampling, mirror=True)),
    "reused": replace(PLAIN, sampling=replace(PLAIN.sampling, feature_reuse=2, views_guidance=1.0)),
    "looped": replace(PLAIN, sampling=replace(PLAIN.sampling, loop_rounds=1)),
    "guessed": replace(PLAIN, sampling=replace(PLAIN.sampling, guess_sigma=3.0, guess_error_factor=20.0)),
    "weighted": replace(PLAIN, sampling=replace(PLAIN.sampling, multiview_weight=0.0, solver="dpmpp-2m")),
}


def stage_1(pair, settings, group):
    picture = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    references = sample_references(pair, Conditions(picture), settings, group=group)
    states = {}
    latents = sample_matrix(
        pair,
        references.as_written(),
        settings,
        on_checkpoint=lambda step, s: states.update({step: s}),
        redraw=(lambda images: images.flip(0)) if group.is_first else None,
        group=group,
    )
    images = decode_matrix(pair, latents, threads=1, group=group)
    return {"video": references.video, "views": references.views, "latents": latents, "images": images}


def guess(pictures, cameras):
    views = torch.rand(len(pictures), len(cameras), 8, 4, 4, generator=torch.Generator().manual_seed(0))
    return views + pictures.mean((1, 2, 3))[:, None, None, None, None]


def sample_together(weights, out):
    from diffusion2.priors.mini import load_pair

    pair = load_pair(folder=weights, precision="float32")
    pair = replace(pair, guess=guess)
    with joined() as group:
        for name, settings in CASES.items():
            made = stage_1(pair, settings, group)
            if not group.is_first:
                del made["images"]
            made = {key: value.contiguous() for key, value in made.items()}
            save_file(made, out / f"{name}_{group.size}_{group.rank}.safetensors")


@pytest.fixture(scope="module")
def made(mini_weights, tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    for size in SIZES:
        assert run_together(size, sample_together, mini_weights, out) == [0] * size
    return out


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", SIZES[1:])
def test_several_processes_make_what_one_makes(made, name, size):
    alone = load_file(made / f"{name}_1_0.safetensors")
    for rank in range(size):
        got = load_file(made / f"{name}_{size}_{rank}.safetensors")
        for part, values in got.items():
            # 5 evaluations of float32, each rounded at 1e-6 of the largest value
            assert (values - alone[part]).abs().max() <= 1e-4 * max(1, alone[part].abs().max()), part


@pytest.mark.parametrize("name", CASES)
def test_all_processes_hold_the_same_to_the_bit(made, name):
    first = load_file(made / f"{name}_4_0.safetensors")
    for rank in range(1, 4):
        for part, values in load_file(made / f"{name}_4_{rank}.safetensors").items():
            assert torch.equal(values, first[part])
