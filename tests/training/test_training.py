"""The training's data, optimiser, loop and packing."""

import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from diffusion2.cameras import orbit
from diffusion2.errors import InputError, NumericalError, WeightsError
from diffusion2.pictures import as_written
from diffusion2.priors.codec import LatentCodec
from diffusion2.priors.guidance import Guidance, constant_scale
from diffusion2.priors.image_encoder import PooledLatentEncoder
from diffusion2.priors.lifter import Lifter
from diffusion2.priors.mini import PIXEL_UNSHUFFLE, WEIGHTS_FILE, load_pair
from diffusion2.priors.network import NetworkMultiviewPrior, NetworkVideoPrior
from diffusion2.priors.patch_autoencoder import PatchAutoencoder
from diffusion2.priors.unet import SpatioTemporalUNet
from diffusion2.training.data import LENGTH, SIZE, choose_window, random_recolor, read_split
from diffusion2.training.diffusion import (
    LOG_SIGMA_MEAN,
    LOG_SIGMA_STD,
    NETWORK_CONFIGS,
    DiffusionTask,
    draw_sigmas,
    make_network,
)
from diffusion2.training.examples import ClipExamples, Example, OrbitExamples, motion_bucket
from diffusion2.training.lifter import LIFTER_CONFIG
from diffusion2.training.loop import LoopSettings, Trainer, averaged
from diffusion2.training.mini import _start, pack, trained_vae, unpack
from diffusion2.training.optimizer import MuonAdamW, PowerAverage, _iterate, _iterate_gram, orthogonalize
from diffusion2.training.scenes import Clip, Orbit, Scene
from diffusion2.training.vae import (
    ALPHA_WEIGHT,
    LATENT_CHANNELS,
    PATCH,
    VAE_CONFIG,
    VaeTask,
    fit_components,
    second_moment,
    with_alpha,
)
from diffusion2.weights.catalogue import mini_folder
from diffusion2.weights.tensor_files import TensorFiles

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


def test_the_noise_levels_of_a_batch_lie_in_equally_likely_ranges():
    rng = np.random.default_rng(0)
    levels = torch.stack([draw_sigmas(rng, 8) for _ in range(500)]).double().log()
    shares = torch.special.ndtr((levels - LOG_SIGMA_MEAN) / LOG_SIGMA_STD)
    assert torch.equal((shares * 8).floor(), torch.arange(8.0).double().expand(500, 8))
    # means of 4,000 draws, which are closer to the truth than those of independent ones
    assert float(levels.mean()) == pytest.approx(LOG_SIGMA_MEAN, abs=0.05)
    assert float(levels.std()) == pytest.approx(LOG_SIGMA_STD, abs=0.05)


@pytest.fixture
def vae() -> PatchAutoencoder:
    torch.manual_seed(0)
    vae = PatchAutoencoder(**VAE_CONFIG)
    vae.set_components(torch.randn(LATENT_CHANNELS, 4, PATCH, PATCH) / 16)
    return vae


def a_disc(radius: float, size: int = SIZE) -> torch.Tensor:
    """Straight colours that vary, and alpha: (4, size, size)."""
    line = torch.linspace(-1, 1, size)
    alpha = (line[:, None].square() + line.square() < radius**2).float()
    colours = torch.stack([(line.expand(size, size) + 1) / 2, (line[:, None].expand(size, size) + 1) / 2])
    return torch.cat([colours, torch.ones(1, size, size), alpha[None]])


def test_training_and_sampling_show_the_multi_view_network_the_same(vae: PatchAutoencoder):
    torch.manual_seed(0)
    network, lifter = SpatioTemporalUNet(**NETWORK_CONFIGS["multiview"]), Lifter(**LIFTER_CONFIG).eval()
    codec = LatentCodec(vae, PIXEL_UNSHUFFLE)
    guidance = Guidance(constant_scale(LENGTH, 1.0))
    prior = NetworkMultiviewPrior(network, codec, PooledLatentEncoder(), lifter=lifter)
    discs = torch.stack([a_disc(0.3 + 0.03 * k) for k in range(LENGTH)])
    for elevation in (20.0, -5.0):
        cameras = orbit(LENGTH, elevation, height=SIZE)
        examples = OrbitExamples(lambda _, cameras=cameras: Orbit(discs, cameras), codec, lifter)
        clean, condition, vector = examples(np.random.default_rng(0))
        # as a user's picture comes: on white, in a file
        picture = as_written(with_alpha(discs[-1:]))
        prepared = prior.prepare(picture, cameras, guidance, cond_aug=0.0)
        taken = NETWORK_CONFIGS["multiview"]["in_channels"]
        assert condition.shape == (LENGTH, taken - LATENT_CHANNELS, 16, 16)
        # colours are rounded to 8 bits
        assert torch.allclose(prepared.latents[0], condition, atol=2e-2)
        assert condition[:, LATENT_CHANNELS:].abs().max() > 0.5
        assert torch.allclose(prepared.vector[0], vector, atol=1e-5)
        assert torch.allclose(clean[-1], codec.encode_scaled(picture)[0], atol=2e-2)


def test_training_and_sampling_show_the_video_network_the_same(vae: PatchAutoencoder):
    codec, network = LatentCodec(vae, PIXEL_UNSHUFFLE), SpatioTemporalUNet(**NETWORK_CONFIGS["video"])
    drawn = Clip(torch.stack([a_disc(0.3 + 0.03 * k) for k in range(LENGTH)]), fps=12.0)
    clean, condition, vector = ClipExamples(lambda _: drawn, codec)(np.random.default_rng(0))
    pictures = as_written(with_alpha(drawn.pictures))
    prior, told = NetworkVideoPrior(network, codec, PooledLatentEncoder()), motion_bucket(pictures)
    guidance = Guidance(constant_scale(LENGTH, 1.0))
    prepared = prior.prepare(pictures[:1], guidance, fps_id=12, motion_bucket_id=told, cond_aug=0.0)
    assert torch.allclose(prepared.latents[0], condition, atol=2e-2)
    assert torch.allclose(clean, codec.encode_scaled(pictures), atol=2e-2)
    # rounded colours move a little more or less: sinusoids of what is told differ by as much
    assert torch.allclose(prepared.vector[0].expand(LENGTH, -1), vector, atol=2e-2)


def test_a_clip_that_stands_still_has_no_motion_and_a_white_one_moves():
    still = with_alpha(a_disc(0.5).expand(LENGTH, -1, -1, -1))
    assert motion_bucket(still) == 0
    white = torch.stack([a_disc(0.3 + 0.05 * k) for k in range(LENGTH)])
    white[:, :3] = 1
    assert 50 < motion_bucket(with_alpha(white)) < 255


def an_example(rng: np.random.Generator) -> Example:
    clean = torch.from_numpy(rng.standard_normal((LENGTH, 8, 16, 16), dtype=np.float32))
    return Example(clean, clean[:1], torch.zeros(LENGTH, 192))


class _Zero(nn.Module):
    def forward(self, sample, c_noise, context, vector):
        return torch.zeros_like(sample[:, :, :8])


def test_the_loss_of_a_network_that_gives_nothing_is_the_variance_of_its_target():
    rng = np.random.default_rng(0)
    task = DiffusionTask("video", _Zero(), an_example, an_example, lambda latents: latents[:, :3])
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

    DiffusionTask("video", Watched(), an_example, None, lambda row: row).loss(np.random.default_rng(0))
    assert seen == [is_fast]


def test_the_sheet_shows_each_sample_under_its_truth():
    task = DiffusionTask("video", _Zero(), an_example, an_example, lambda row: row)
    shown = task.show()
    assert shown.shape == (8, LENGTH, 3, 16, 16)
    assert torch.equal(shown[2], an_example(np.random.default_rng(1)).clean[:, :3])
    # a network that gives nothing makes noise of a unit Gaussian's size, as c_skip shrinks it
    assert 0.05 < float(shown[1].std()) < 1.5


def test_without_held_out_sequences_nothing_is_measured_and_training_ones_are_shown():
    task = DiffusionTask("video", _Zero(), an_example, None, lambda row: row)
    assert task.evaluate() == {}
    assert torch.equal(task.show()[0], an_example(np.random.default_rng(0)).clean[:, :3])


def test_training_leaves_a_log_and_a_sheet(tmp_path):
    trainer = Trainer(_Line(), tmp_path / "line.safetensors")
    trainer.run(LoopSettings(0.002), lambda event: None)
    assert (tmp_path / "line.png").is_file()
    assert len((tmp_path / "line.log.jsonl").read_text().splitlines()) == 1


def test_checkpoints_of_another_autoencoder_are_refused_by_name(tmp_path):
    save_file(
        {"average.encoder.conv_in.bias": torch.zeros(32)},
        tmp_path / "vae.safetensors",
        {"task": "vae", "step": "9"},
    )
    with pytest.raises(WeightsError, match=r"vae\.safetensors belongs to another network"):
        trained_vae(tmp_path)


@pytest.fixture
def cache(tmp_path: Path, vae: PatchAutoencoder) -> Path:
    """Checkpoints of a whole pair, of random weights."""
    torch.manual_seed(0)
    networks = {part: make_network(config) for part, config in NETWORK_CONFIGS.items()}
    (tmp_path / "cache").mkdir()
    for part, network in ({"vae": vae, "lifter": Lifter(**LIFTER_CONFIG)} | networks).items():
        average = {f"average.{name}": p.detach().contiguous() for name, p in network.named_parameters()}
        save_file(average, tmp_path / "cache" / f"{part}.safetensors", {"task": part, "step": "7"})
    return tmp_path / "cache"


def test_a_packed_pair_loads_and_knows_alpha(tmp_path, cache, vae):
    assert pack(cache, tmp_path / "packed") == dict.fromkeys(("vae", "lifter", "video", "multiview"), 7)
    assert not any("attn2.to_q" in name for name in load_file(tmp_path / "packed" / "video" / WEIGHTS_FILE))
    pair = load_pair(folder=tmp_path / "packed")
    assert isinstance(pair.codec, LatentCodec)
    assert pair.codec.picture_channels == 4
    picture = with_alpha(a_disc(0.5))[None]
    expected = LatentCodec(vae, PIXEL_UNSHUFFLE).encode_mode(picture)
    assert torch.allclose(
        pair.codec.encode_scaled(picture), expected, atol=2e-2 * float(expected.abs().max())
    )
    condition = pair.multiview.prepare(
        picture, orbit(LENGTH, height=SIZE), Guidance(constant_scale(LENGTH, 1.0)), cond_aug=0.0, seed=0
    )
    clean = pair.multiview.denoise(torch.randn(1, LENGTH, *expected.shape[1:]), 1.0, condition)
    assert torch.isfinite(clean).all()
    assert pair.codec.decode(clean[0]).shape == (LENGTH, 4, SIZE, SIZE)
    shutil.rmtree(tmp_path / "packed" / "lifter")
    with pytest.raises(WeightsError, match="has no lifter/: install the package anew"):
        load_pair(folder=tmp_path / "packed")


def test_a_pair_is_not_packed_before_all_of_it_is_trained(tmp_path, cache):
    (cache / "lifter.safetensors").unlink()
    with pytest.raises(InputError, match="train lifter"):
        pack(cache, tmp_path / "packed")


def test_an_unpacked_pair_is_the_one_that_was_packed(tmp_path, cache):
    steps = pack(cache, tmp_path / "packed")
    assert unpack(tmp_path / "packed", tmp_path / "again") == steps
    assert pack(tmp_path / "again", tmp_path / "twice") == steps
    for part in steps:
        once, twice = (load_file(tmp_path / f / part / WEIGHTS_FILE) for f in ("packed", "twice"))
        assert once.keys() == twice.keys()
        # 8 bits to float32 and back loses nothing
        assert all(torch.equal(twice[name], tensor) for name, tensor in once.items())


def test_unpacking_never_replaces_a_checkpoint(tmp_path):
    (tmp_path / "vae.safetensors").write_bytes(b"hours of work")
    with pytest.raises(InputError, match=r"vae\.safetensors exists"):
        unpack(mini_folder(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["vae.safetensors"]


def test_weights_of_another_version_are_not_unpacked(tmp_path, cache):
    pack(cache, tmp_path / "packed")
    folder = tmp_path / "packed" / "vae"
    old = PatchAutoencoder(**{**VAE_CONFIG, "latent_channels": 24})
    old.save_config(folder)
    tensors = {name: tensor.half() for name, tensor in old.state_dict().items()}
    save_file(tensors, folder / WEIGHTS_FILE)
    with pytest.raises(WeightsError, match="vae holds another network"):
        unpack(tmp_path / "packed", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_training_goes_on_from_the_packaged_pair_and_what_has_another_shape_starts_anew(tmp_path):
    network = make_network({**NETWORK_CONFIGS["video"], "block_out_channels": (96, 96, 160)})
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert not _start(network, tmp_path, "video")
    packaged = TensorFiles([mini_folder() / "video" / WEIGHTS_FILE])
    after = network.state_dict()
    assert torch.equal(after["conv_out.weight"], packaged.read("conv_out.weight"))
    wide = "mid_block.resnets.0.spatial_res_block.conv1.weight"
    assert torch.equal(after[wide], before[wide])
    assert _start(make_network(NETWORK_CONFIGS["video"]), tmp_path, "video")


def test_recolouring_turns_grey_into_grey():
    matrices = random_recolor(5, np.random.default_rng(0))
    grey = matrices @ np.full(3, 0.5)
    np.testing.assert_allclose(grey, grey[:, :1].repeat(3, 1), atol=1e-12)


def test_a_folder_without_a_table_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"PROVENANCE\.tsv"):
        read_split(tmp_path, "train")


def test_held_out_models_are_never_trained_on():
    if not ASSETS.is_dir():
        pytest.skip("needs the optional folder ../shared/assets")
    train = {file for file, _ in read_split(ASSETS, "train")}
    val = {file for file, _ in read_split(ASSETS, "val")}
    assert val
    assert not train & val


def test_a_clip_is_shown_past_its_end_only_where_it_loops():
    rng = np.random.default_rng(0)

    def windows(duration: float, last: float) -> list[tuple[float, float]]:
        pose = {0.0: 0.0, duration: last}
        model = SimpleNamespace(
            clips={"walk": SimpleNamespace(duration=duration)},
            pose=lambda _, seconds: [(np.full((4, 3), pose[seconds]), None)],
        )
        return [choose_window(model, "walk", rng) for _ in range(50)]

    for start, window in windows(5.0, last=1.0):
        assert 0.8 <= window <= 2.0
        assert start + window <= 5.0
    assert max(start + window for start, window in windows(5.0, last=0.0)) > 5.0
    assert {window for _, window in windows(1.0, last=0.0)} == {1.0}


def _flat_colours(rng: np.random.Generator) -> Scene:
    """Every patch is one colour and one alpha: four components hold all."""
    patches = torch.from_numpy(rng.random((5, 4, 4, 4))).float()
    return Scene(patches.repeat_interleave(8, 2).repeat_interleave(8, 3), orbit(5, height=32), torch.zeros(0))


def test_the_encoder_gives_the_largest_components_of_patches_and_nothing_where_nothing_is():
    vae = PatchAutoencoder(**VAE_CONFIG)
    vae.set_components(fit_components(second_moment(_flat_colours)))
    assert vae.picture_channels == 4
    codec = LatentCodec(vae, PIXEL_UNSHUFFLE)
    pictures = torch.cat([with_alpha(_flat_colours(np.random.default_rng(k)).pictures) for k in range(40)])
    latents = codec.encode_mode(pictures)
    assert latents[:, 4:].abs().max() < 1e-3 * latents[:, :4].abs().max()
    # of the first 40 of 200 scenes: five deviations of the mean
    assert float(latents.square().mean()) == pytest.approx(1, rel=0.05)
    nothing = torch.ones(1, 4, 32, 32)
    nothing[:, 3] = 0
    assert codec.encode_mode(nothing).abs().max() < 1e-4
    # linear: half way to nothing is half of the latent
    assert torch.allclose(codec.encode_mode((pictures + nothing) / 2), latents / 2, atol=1e-3)


def test_a_white_object_on_white_is_an_object():
    vae = PatchAutoencoder(**VAE_CONFIG)
    vae.set_components(fit_components(second_moment(_flat_colours)))
    codec = LatentCodec(vae, PIXEL_UNSHUFFLE)
    white, black = torch.ones(1, 4, 32, 32), torch.zeros(1, 4, 32, 32)
    black[:, 3] = 1
    share = float(codec.encode_mode(white).square().mean() / codec.encode_mode(black).square().mean())
    # alpha alone, beside three colours and alpha; flatness evens out what is left
    assert share > 0.3 * ALPHA_WEIGHT**2 / (3 + ALPHA_WEIGHT**2)


def test_the_decoder_learns_and_its_encoder_stays(vae):
    frozen = vae.encoder.weight.clone()

    def draw(rng: np.random.Generator) -> Scene:
        discs = torch.stack([a_disc(rng.uniform(0.3, 0.8)) for _ in range(5)])
        return Scene(discs, orbit(5, height=SIZE), torch.zeros(0))

    task = VaeTask(vae, draw, draw)
    before = task.evaluate()
    assert set(before) == {"psnr", "foreground_psnr", "lpips", "alpha_psnr"}
    optimizer = MuonAdamW(vae, task.matrix_rate)
    for step in range(4):
        optimizer.zero_grad()
        task.loss(np.random.default_rng(step)).backward()
        optimizer.step()
    after = task.evaluate()
    assert after["psnr"] > before["psnr"]
    assert after["alpha_psnr"] > before["alpha_psnr"]
    assert torch.equal(vae.encoder.weight, frozen)
    assert task.show().shape[2:] == (3, SIZE, SIZE)
