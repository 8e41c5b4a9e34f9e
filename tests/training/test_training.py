"""The training's data, optimiser, loop and packing."""

import math
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from diffusion2.cameras import orbit
from diffusion2.errors import InputError, NumericalError, WeightsError
from diffusion2.events import ignore
from diffusion2.pictures import from_pixels
from diffusion2.priors.codec import LatentCodec
from diffusion2.priors.guidance import Guidance, constant_scale
from diffusion2.priors.image_encoder import PooledLatentEncoder
from diffusion2.priors.mini import PIXEL_UNSHUFFLE, WEIGHTS_FILE, load_pair
from diffusion2.priors.network import NetworkMultiviewPrior, NetworkVideoPrior
from diffusion2.priors.patch_autoencoder import PatchAutoencoder
from diffusion2.priors.unet import SpatioTemporalUNet, multiview_from_video
from diffusion2.training.data import LENGTH, SIZE, Item, plan_orbits, plan_videos, random_recolor, read_split
from diffusion2.training.diffusion import (
    LOG_SIGMA_MEAN,
    LOG_SIGMA_STD,
    MULTIVIEW_CHANNELS,
    UNET_CONFIG,
    VECTOR_WIDTHS,
    DiffusionTask,
    MixedSet,
    SequenceSet,
    draw_sigmas,
)
from diffusion2.training.latents import encode_set
from diffusion2.training.loop import LoopSettings, Trainer, averaged
from diffusion2.training.mini import TrainSettings, pack, train, trained_vae, unpack
from diffusion2.training.optimizer import MuonAdamW, PowerAverage, _iterate, _iterate_gram, orthogonalize
from diffusion2.training.vae import VAE_CONFIG, fit_components
from diffusion2.weights.catalogue import mini_folder

IDENTITY = torch.eye(VAE_CONFIG["latent_channels"])
ASSETS = Path(__file__).parents[3] / "shared" / "assets"


class _Line:
    """Fit a straight line: a task of three numbers."""

    name = "line"
    matrix_rate = 0.05

    def __init__(self, *, poison: int | None = None) -> None:
        torch.manual_seed(0)
        self.network = nn.Linear(2, 1)
        self._poison, self._calls = poison, 0

    def loss(self, rng):
        x = torch.from_numpy(rng.standard_normal((16, 2))).float()
        self._calls += 1
        factor = math.nan if self._calls == self._poison else 1.0
        target = x @ torch.tensor([[2.0], [-1.0]]) + 0.5
        return factor * (self.network(x) - target).square().mean()

    def evaluate(self):
        return {"weight": float(self.network.weight[0, 0].detach())}

    def show(self):
        return self.network.weight.detach().clamp(0, 1).expand(1, 3, 3, 4, 2)


def _steps(trainer, count):
    return [trainer._take_step(LoopSettings(1.0), 0.0) for _ in range(count)]


def test_orthogonalised_matrices_have_singular_values_near_one():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(3, 40, 24)))
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_iterating_the_gram_matrix_does_what_iterating_the_wide_matrix_does():
    torch.manual_seed(0)
    full_rank, low_rank = torch.randn(2, 24, 216), torch.randn(48, 3) @ torch.randn(3, 200)
    for wide in (full_rank, torch.randn(40, 40), low_rank):
        x = wide / wide.norm(dim=(-2, -1), keepdim=True)
        # float32 rounding, which five steps enlarge by up to 3.4 each
        assert torch.allclose(_iterate_gram(x, 5), _iterate(x, 5), atol=1e-4)
    x = full_rank / full_rank.norm(dim=(-2, -1), keepdim=True)
    # bfloat16 has 8 bits: measured was a largest difference of 0.015
    assert torch.allclose(_iterate_gram(x, 5), _iterate(x.bfloat16(), 5).float(), atol=0.03)
    assert not _iterate_gram(torch.zeros(3, 9), 5).any()


def test_the_optimiser_fits_a_line():
    task = _Line()
    optimizer = MuonAdamW(task.network, 0.05, vector_rate=0.05)
    rng = np.random.default_rng(0)
    losses = []
    for step in range(400):
        optimizer.param_groups[0]["factor"] = 1 - step / 400
        optimizer.zero_grad()
        loss = task.loss(rng)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-20:]) < 1e-3 * np.mean(losses[:5])


def test_the_average_of_constant_weights_is_that_constant_and_old_weights_fade():
    network = nn.Linear(1, 1, bias=False)
    average = PowerAverage(network, exponent=16)
    for step in range(1, 201):
        with torch.no_grad():
            network.weight.fill_(0.0 if step <= 100 else 1.0)
        average.update(network, step)
    # the share of the first half is 0.5^17
    assert float(average.weights["weight"]) == pytest.approx(1 - 0.5**17, abs=1e-5)


def test_a_resumed_training_goes_on_as_if_it_had_never_stopped(tmp_path):
    whole = Trainer(_Line(), tmp_path / "whole.safetensors")
    _steps(whole, 30)
    first = Trainer(_Line(), tmp_path / "part.safetensors")
    _steps(first, 17)
    first.save()
    second = Trainer(_Line(), tmp_path / "part.safetensors")
    assert second.step == 17
    _steps(second, 13)
    for a, b in zip(whole.task.network.parameters(), second.task.network.parameters(), strict=True):
        assert torch.equal(a, b)
    for name, value in whole.average.weights.items():
        assert torch.equal(value, second.average.weights[name])


def test_not_a_number_stops_training_and_leaves_the_checkpoint(tmp_path):
    path = tmp_path / "line.safetensors"
    trainer = Trainer(_Line(poison=8), path)
    _steps(trainer, 5)
    trainer.save()
    before = path.read_bytes()
    with pytest.raises(NumericalError, match="step 7"):
        trainer.run(LoopSettings(1.0), lambda event: None)
    assert path.read_bytes() == before


def test_a_foreign_or_broken_checkpoint_is_refused_by_name(tmp_path):
    path = tmp_path / "line.safetensors"
    path.write_bytes(b"not safetensors")
    with pytest.raises(WeightsError, match=r"line\.safetensors"):
        Trainer(_Line(), path)
    save_file({"x": torch.zeros(1)}, path, {"task": "vae", "step": "1"})
    with pytest.raises(WeightsError, match="no checkpoint of line"):
        Trainer(_Line(), path)
    save_file({"weights.weight": torch.zeros(3, 3)}, path, {"task": "line", "step": "1"})
    with pytest.raises(WeightsError, match="another network"):
        Trainer(_Line(), path)


def test_measuring_uses_the_averaged_weights_and_puts_the_others_back():
    network = nn.Linear(1, 1, bias=False)
    average = PowerAverage(network)
    average.weights["weight"].fill_(7.0)
    before = network.weight.detach().clone()
    with averaged(network, average):
        assert network.weight.item() == 7
    assert torch.equal(network.weight, before)


def _item(**changes):
    values = {
        "file": "a.glb",
        "clip": "walk",
        "start": 0.0,
        "duration": 1.0,
        "azimuth_deg": 0.0,
        "elevation_deg": 20.0,
        "object_size": 0.9,
        "fps": 12.0,
        "seed": 0,
    }
    return Item(**{**values, **changes})


def test_a_rolled_orbit_keeps_its_angles_and_takes_another_reference():
    latents = np.arange(LENGTH, dtype=np.float16).reshape(1, LENGTH, 1, 1, 1).repeat(24, 2)
    views = SequenceSet("multiview", latents, [_item(fps=0.0)], np.zeros(1), IDENTITY)
    clean, condition, vector = views.sequence(0, roll=5)
    assert clean[:, 0, 0, 0].tolist() == [(k - 5) % LENGTH for k in range(LENGTH)]
    assert condition.shape == (LENGTH, MULTIVIEW_CHANNELS - 24, 1, 1)
    assert (condition[:, :24] == clean[-1]).all()
    assert torch.equal(vector, views.sequence(0, roll=0)[2])


def test_a_mirrored_orbit_turns_the_other_way_around_the_same_reference():
    vae = PatchAutoencoder(**VAE_CONFIG)
    vae.set_components(torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    codec = LatentCodec(vae, PIXEL_UNSHUFFLE)
    pictures = torch.rand(LENGTH, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    latents = codec.encode_mode(pictures)[None].half().numpy()
    views = SequenceSet("multiview", latents, [_item(fps=0.0)], np.zeros(1), vae.mirror)
    mirrored, condition, _ = views.sequence(0, roll=0, mirrored=True)
    expected = codec.mirror(torch.from_numpy(latents[0]).float())[[*reversed(range(LENGTH - 1)), LENGTH - 1]]
    assert torch.equal(mirrored, expected)
    assert torch.equal(condition[0, :24], expected[-1])
    turned, _, _ = views.sequence(0, roll=4, mirrored=True)
    assert torch.equal(turned, mirrored.roll(4, dims=0))


def test_most_sequences_drawn_are_of_animated_models():
    latents = np.arange(10, dtype=np.float16).reshape(10, 1, 1, 1, 1).repeat(LENGTH, 1).repeat(24, 2)
    items = [_item(clip="walk" if k == 3 else None, fps=0.0) for k in range(10)]
    views = SequenceSet("multiview", latents, items, np.zeros(10), IDENTITY)
    rng = np.random.default_rng(0)
    drawn = [float(views.draw(rng)[0][0, 0]) for _ in range(400)]
    # expected are 0.7 + 0.3 / 10; three deviations of 400 draws are 0.07
    assert drawn.count(3.0) / len(drawn) == pytest.approx(0.73, abs=0.07)
    assert set(drawn) == set(range(10))


def test_the_noise_levels_of_a_batch_lie_in_equally_likely_ranges():
    rng = np.random.default_rng(0)
    levels = torch.stack([draw_sigmas(rng, 8) for _ in range(500)]).double().log()
    shares = torch.special.ndtr((levels - LOG_SIGMA_MEAN) / LOG_SIGMA_STD)
    assert torch.equal((shares * 8).floor(), torch.arange(8.0).double().expand(500, 8))
    # means of 4,000 draws, which are closer to the truth than those of independent ones
    assert float(levels.mean()) == pytest.approx(LOG_SIGMA_MEAN, abs=0.05)
    assert float(levels.std()) == pytest.approx(LOG_SIGMA_STD, abs=0.05)


def new_video() -> SpatioTemporalUNet:
    return SpatioTemporalUNet(**UNET_CONFIG, projection_class_embeddings_input_dim=VECTOR_WIDTHS["video"])


def test_training_and_sampling_show_the_network_the_same():
    pictures = torch.rand(2, LENGTH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    vae = PatchAutoencoder(**VAE_CONFIG)
    codec = LatentCodec(vae, PIXEL_UNSHUFFLE)
    video = new_video()
    multiview = multiview_from_video(video, VECTOR_WIDTHS["multiview"], MULTIVIEW_CHANNELS)
    latents = np.stack([codec.encode_mode(sequence).half().numpy() for sequence in pictures])
    items = [_item(elevation_deg=20.0), _item(elevation_deg=-5.0)]
    guidance = Guidance(constant_scale(LENGTH, 1.0))

    orbits = SequenceSet("multiview", latents, items, np.zeros(2), IDENTITY)
    prior = NetworkMultiviewPrior(multiview, codec, PooledLatentEncoder())
    for k, item in enumerate(items):
        cameras = orbit(LENGTH, item.elevation_deg, height=SIZE)
        prepared = prior.prepare(pictures[k, -1:], cameras, guidance, cond_aug=0.0)
        _, condition, vector = orbits.sequence(k, roll=0)
        assert torch.allclose(prepared.latents[0], condition, atol=2e-2)
        assert torch.allclose(prepared.vector[0], vector, atol=1e-5)

    clips = SequenceSet("video", latents, items, np.full(2, 100.0), IDENTITY)
    prior = NetworkVideoPrior(video, codec, PooledLatentEncoder())
    prepared = prior.prepare(pictures[:, 0], guidance, fps_id=12, motion_bucket_id=100, cond_aug=0.0)
    _, condition, vector = clips.sequence(1, roll=0)
    assert torch.allclose(prepared.latents[1], condition, atol=2e-2)
    assert torch.allclose(prepared.vector[1].expand(LENGTH, -1), vector, atol=1e-5)


def test_a_clip_is_conditioned_on_its_first_image_and_never_rolled():
    latents = np.arange(LENGTH, dtype=np.float16).reshape(1, LENGTH, 1, 1, 1).repeat(8, 2)
    clip = SequenceSet("video", latents, [_item()], np.array([100.0]), IDENTITY)
    clean, condition, _ = clip.sequence(0, roll=5)
    assert clean[:, 0, 0, 0].tolist() == list(range(LENGTH))
    assert condition.shape == (1, 8, 1, 1)
    assert not condition.any()


class _Zero(nn.Module):
    def forward(self, sample, c_noise, context, vector):
        return torch.zeros_like(sample[:, :, :8])


def test_the_loss_of_a_network_that_gives_nothing_is_the_variance_of_its_target():
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((4, LENGTH, 8, 16, 16)).astype(np.float16)
    sequences = SequenceSet("video", latents, [_item()] * 4, np.full(4, 100.0), torch.eye(8))
    task = DiffusionTask(_Zero(), sequences, sequences, lambda latents: latents[:, :3])
    losses = [float(task.loss(rng)) for _ in range(20)]
    # unit data and unit noise: the v-target has variance 1 at every noise level
    assert np.mean(losses) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("is_fast", [True, False])
def test_training_computes_in_bfloat16_only_where_the_processor_has_it(is_fast, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: is_fast)
    seen = []

    class Watched(_Zero):
        def forward(self, *inputs):
            seen.append(torch.is_autocast_enabled("cpu"))
            return super().forward(*inputs)

    latents = np.zeros((1, LENGTH, 8, 16, 16), np.float16)
    sequences = SequenceSet("video", latents, [_item()], np.full(1, 100.0), torch.eye(8))
    DiffusionTask(Watched(), sequences, sequences, lambda row: row).loss(np.random.default_rng(0))
    assert seen == [is_fast]


def test_the_sheet_shows_each_sample_under_its_truth():
    latents = np.random.default_rng(0).uniform(size=(9, LENGTH, 8, 16, 16)).astype(np.float16)
    sequences = SequenceSet("video", latents, [_item()] * 9, np.full(9, 100.0), torch.eye(8))
    task = DiffusionTask(_Zero(), sequences, sequences, lambda row: row[:, :3])
    shown = task.show()
    assert shown.shape == (8, LENGTH, 3, 16, 16)
    assert torch.equal(shown[0], torch.from_numpy(latents[1, :, :3]).float())
    # a network that gives nothing makes noise of a unit Gaussian's size, as c_skip shrinks it
    assert 0.05 < float(shown[1].std()) < 1.5


def test_without_held_out_sequences_nothing_is_measured_and_training_ones_are_shown():
    latents = np.random.default_rng(0).uniform(size=(2, LENGTH, 8, 16, 16)).astype(np.float16)
    sequences = SequenceSet("video", latents, [_item()] * 2, np.full(2, 100.0), torch.eye(8))
    task = DiffusionTask(_Zero(), sequences, None, lambda row: row[:, :3])
    assert task.evaluate() == {}
    truths = [torch.from_numpy(sequence[:, :3]).float() for sequence in latents]
    for row in task.show()[::2]:
        assert any(torch.equal(row, truth) or torch.equal(row, truth.flip(-1)) for truth in truths)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_sequences_is_of_procedural_creatures(share):
    files, procedural = (
        SequenceSet(
            "video",
            np.full((1, LENGTH, 8, 2, 2), value, np.float16),
            [_item()],
            np.full(1, 100.0),
            torch.eye(8),
        )
        for value in (0.0, 1.0)
    )
    rng = np.random.default_rng(0)
    drawn = [float(MixedSet(files, procedural, share).draw(rng)[0].mean()) for _ in range(400)]
    # four standard deviations of a mean of 400 draws
    assert abs(np.mean(drawn) - share) <= 4 * np.sqrt(share * (1 - share) / 400)


def test_training_on_nothing_is_refused(tmp_path):
    settings = TrainSettings("video", None, tmp_path / "cache", LoopSettings(1.0), procedural=0)
    with pytest.raises(InputError, match=r"--assets, or --procedural"):
        train(settings, ignore)
    assert not (tmp_path / "cache").exists()


def test_training_leaves_a_log_and_a_sheet(tmp_path):
    trainer = Trainer(_Line(), tmp_path / "line.safetensors")
    trainer.run(LoopSettings(0.002), lambda event: None)
    assert (tmp_path / "line.png").is_file()
    assert len((tmp_path / "line.log.jsonl").read_text().splitlines()) == 1


def test_latents_are_encoded_anew_when_the_pictures_or_the_encoder_change(tmp_path):
    class Encoder:
        calls, factor = 0, 1.0

        def encode(self, images, return_dict):
            self.calls += 1
            return (SimpleNamespace(mode=lambda: self.factor * images[:, :2]),)

    encoder, images, target = Encoder(), tmp_path / "set.npy", tmp_path / "set.latents.npy"
    np.save(images, np.full((3, LENGTH, 16, 16, 3), 200, np.uint8))

    def calls() -> int:
        encoder.calls = 0
        encode_set(encoder, images, target, lambda event: None)
        return encoder.calls

    assert calls() == 3
    os.utime(images, (0, 0))
    assert calls() == 1  # the first sequence, to compare
    encoder.factor = 2.0
    assert calls() == 4
    assert float(np.load(target)[2, 0, 0, 0, 0]) == pytest.approx(2 * (400 / 255 - 1), abs=1e-3)
    later = target.stat().st_mtime + 1
    os.utime(images, (later, later))
    assert calls() == 3


def test_checkpoints_of_another_autoencoder_are_refused_by_name(tmp_path):
    save_file(
        {"average.encoder.conv_in.bias": torch.zeros(32)},
        tmp_path / "vae.safetensors",
        {"task": "vae", "step": "9"},
    )
    with pytest.raises(WeightsError, match=r"vae\.safetensors belongs to another network"):
        trained_vae(tmp_path)


def test_a_packed_pair_loads(tmp_path):
    cache, video = tmp_path / "cache", new_video()
    multiview = multiview_from_video(video, VECTOR_WIDTHS["multiview"], MULTIVIEW_CHANNELS)
    vae = PatchAutoencoder(**VAE_CONFIG)
    vae.set_components(torch.randn(VAE_CONFIG["latent_channels"], 3, 8, 8))
    cache.mkdir()
    for part, network in (("vae", vae), ("video", video), ("multiview", multiview)):
        average = {f"average.{name}": p.detach().contiguous() for name, p in network.named_parameters()}
        save_file(average, cache / f"{part}.safetensors", {"task": part, "step": "7"})
    assert pack(cache, tmp_path / "packed") == {"vae": 7, "video": 7, "multiview": 7}
    pair = load_pair(folder=tmp_path / "packed")
    picture = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    expected = LatentCodec(vae, PIXEL_UNSHUFFLE).encode_mode(picture)
    assert torch.allclose(
        pair.codec.encode_scaled(picture), expected, atol=2e-2 * float(expected.abs().max())
    )
    condition = pair.multiview.prepare(
        picture, orbit(LENGTH, height=SIZE), Guidance(constant_scale(LENGTH, 1.0)), cond_aug=0.0, seed=0
    )
    clean = pair.multiview.denoise(torch.randn(1, LENGTH, *expected.shape[1:]), 1.0, condition)
    assert torch.isfinite(clean).all()


def test_an_unpacked_pair_is_the_one_that_was_packed(tmp_path):
    cache = tmp_path / "cache"
    steps = unpack(mini_folder(), cache)
    assert min(steps.values()) > 1000
    assert pack(cache, tmp_path / "packed") == steps
    for part in steps:
        packed, shipped = (load_file(f / part / WEIGHTS_FILE) for f in (tmp_path / "packed", mini_folder()))
        assert packed.keys() == shipped.keys()
        # float16 to float32 and back loses nothing
        assert all(torch.equal(packed[name], tensor) for name, tensor in shipped.items())


def test_unpacking_never_replaces_a_checkpoint(tmp_path):
    (tmp_path / "video.safetensors").write_bytes(b"hours of work")
    with pytest.raises(InputError, match=r"video\.safetensors exists"):
        unpack(mini_folder(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["video.safetensors"]


def test_weights_of_another_network_are_not_unpacked(tmp_path, monkeypatch):
    config = {**UNET_CONFIG, "block_out_channels": (32, 32, 64)}
    monkeypatch.setattr("diffusion2.training.mini.UNET_CONFIG", config)
    with pytest.raises(WeightsError, match="video holds another network"):
        unpack(mini_folder(), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_recolouring_turns_grey_into_grey():
    matrices = random_recolor(5, np.random.default_rng(0))
    grey = matrices @ np.full(3, 0.5)
    np.testing.assert_allclose(grey, grey[:, :1].repeat(3, 1), atol=1e-12)


def test_a_folder_without_a_table_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"PROVENANCE\.tsv"):
        read_split(tmp_path, "train")


def test_held_out_models_are_never_trained_on_and_no_item_is_a_synchronised_multi_view_video():
    if not ASSETS.is_dir():
        pytest.skip("needs the optional folder ../shared/assets")
    from diffusion2.meshes import load_model

    train = {file for file, _ in read_split(ASSETS, "train")}
    val = {file for file, _ in read_split(ASSETS, "val")}
    assert val
    assert not train & val
    file = "animated/cute_fish_pack/Koi.glb"
    model = load_model(ASSETS / file)
    videos, orbits = plan_videos(model, file, "train"), plan_orbits(model, file, "train")
    # a clip has one camera; two clips of one animation differ in time and angle
    assert len({(v.clip, v.start, v.azimuth_deg) for v in videos}) == len(videos)
    # an orbit has one moment, and no two orbits share one
    assert all(o.duration == 0 for o in orbits)
    assert len({(o.clip, o.start) for o in orbits}) == len(orbits)
    assert videos == plan_videos(model, file, "train")


def test_the_encoder_gives_the_largest_components_of_patches_and_nothing_for_white(tmp_path: Path):
    rng = np.random.default_rng(0)
    # every patch is one colour: three components hold all
    colours = rng.integers(0, 256, (40, 1, 4, 4, 3)).repeat(8, 2).repeat(8, 3).astype(np.uint8)
    np.save(tmp_path / "colours.npy", colours)
    components = fit_components([tmp_path / "colours.npy"])
    vae = PatchAutoencoder(**VAE_CONFIG)
    vae.set_components(components)
    codec = LatentCodec(vae, PIXEL_UNSHUFFLE)
    pictures = from_pixels(colours.reshape(-1, 32, 32, 3))
    latents = codec.encode_mode(pictures)
    assert latents[:, 3:].abs().max() < 1e-3 * latents[:, :3].abs().max()
    assert float(latents.square().mean()) == pytest.approx(1, rel=1e-3)
    assert codec.encode_mode(torch.ones(1, 3, 32, 32)).abs().max() < 1e-4
    # linear: half way to white is half of the latent
    assert torch.allclose(codec.encode_mode((pictures + 1) / 2), latents / 2, atol=1e-3)
