"""Time stage 1 with full-size networks of random weights, and project a whole run of a preset.

    python benchmarks/stage1.py                                         one evaluation of the preset's matrix
    python benchmarks/stage1.py --size 128 --views 3 --frames 3         a small one, for a CPU
    python benchmarks/stage1.py --pair mini --evaluations 2             the small pair

Samples a matrix for a few evaluations, all rows and all columns with guidance, through the sampler itself. It
prints the arithmetic done per second, as a share of what matrix products reach on the same device in the same
precision; what a whole run takes at that rate; and how much of the time went by outside the networks.
The arithmetic is counted on arrays without numbers, so the projection needs no run at the full size. It
leaves out references, autoencoder and image encoder. One thread on a CPU is timed by its processor time,
which other programs do not disturb.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from diffusion2.config import PRESETS, GenerateSettings
from diffusion2.priors import released, unet_blocks
from diffusion2.priors.device_memory import DeviceMemory
from diffusion2.priors.devices import choose_device, choose_dtype
from diffusion2.priors.guidance import Guidance, constant_scale
from diffusion2.priors.mini import load_pair
from diffusion2.priors.network import NetworkPrior, SequenceCondition
from diffusion2.priors.stored_network import build_empty
from diffusion2.priors.unet import DeepFeatures, SpatioTemporalUNet
from diffusion2.sampling.joint import JointSchedule, sample_joint
from diffusion2.sampling.noise import CellNoise
from diffusion2.sampling.parallel import Sequences, Workers

Clock = Callable[[], float]


def main() -> None:
    """Measure and print."""
    options = parse()
    preset = PRESETS[options.preset or ("mini" if options.pair == "mini" else "paper")]
    settings = replace(
        preset,
        **{name: getattr(options, name) or getattr(preset, name) for name in ("views", "frames", "size")},
    )
    device = choose_device(options.device, "mini" if options.pair == "mini" else "svd-sv3d")
    dtype = choose_dtype(options.precision, device)
    threads = options.threads or preset.sampling.threads
    if device == "cpu" and threads == torch.get_num_threads() == 1:
        clock = time.process_time
    else:
        clock = time.perf_counter
    peak = matmul_rate(device, dtype, clock)
    print(f"{device}, {str(dtype)[6:]}: matrix products {peak / 1e12:.3g} TFLOP/s on {torch_threads()}")

    priors = load_priors(options.pair, device, dtype, options.offload)
    small, whole = (2 * flops(priors, s) for s in (settings, preset))
    shallow = 2 * flops(priors, preset, shallow=True)
    print(
        f"one evaluation of {settings.views} x {settings.frames} at {settings.size} pixels with guidance: "
        f"{small / 1e12:.4g} TFLOP; of the preset's {preset.views} x {preset.frames} at {preset.size}: "
        f"{whole / 1e12:.4g}, {shallow / whole:.1%} of it where deep features are reused"
    )
    seconds, inside = measure(
        priors, settings, options.evaluations, Workers(options.batch_size, threads), clock
    )
    rate = small / seconds
    print(f"{seconds:.2f} s an evaluation: {rate / 1e12:.3g} TFLOP/s, {rate / peak:.0%} of matrix products")
    if inside is not None:
        print(f"outside the networks: {1 - inside:.2%} of the time")
    count = schedule_of(preset, preset.sampling.steps).evaluations()
    run = run_flops(preset, whole, shallow)
    print(f"a whole run, {count} evaluations, {run / 1e15:.4g} PFLOP: {run / rate / 60:.1f} min at this rate")


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pair", choices=("full", "mini"), default="full")
    parser.add_argument("--preset", choices=tuple(PRESETS), help="paper; or mini for that pair")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16", "float16"), default="auto")
    parser.add_argument("--views", type=int, help="instead of the preset's")
    parser.add_argument("--frames", type=int, help="instead of the preset's")
    parser.add_argument("--size", type=int, help="instead of the preset's")
    parser.add_argument("--batch-size", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="as in the preset, if not given")
    parser.add_argument("--offload", action="store_true")
    parser.add_argument("--evaluations", type=int, default=1)
    return parser.parse_args()


def torch_threads() -> str:
    """Say how many threads torch uses."""
    return f"{torch.get_num_threads()} thread" + "s" * (torch.get_num_threads() > 1)


def load_priors(pair: str, device: str, dtype: torch.dtype, offload: bool) -> dict[str, NetworkPrior]:
    """Make the full-size networks with random weights, or load the mini pair's."""
    if pair == "mini":
        loaded: Any = load_pair("mini", device=device, offload=offload)
        return {"rows": loaded.video, "columns": loaded.multiview}
    memory, priors = DeviceMemory(device, offload=offload), {}
    for side, values in (("rows", released.VIDEO_VALUES), ("columns", released.ORBIT_VALUES)):
        width = values * released.UNET["addition_time_embed_dim"]
        config = {**released.UNET, "projection_class_embeddings_input_dim": width}
        network = build_empty(SpatioTemporalUNet, config, "the released network")
        state = {name: random_values(t.shape, dtype) for name, t in network.state_dict().items()}
        network.load_state_dict(state, assign=True)
        priors[side] = NetworkPrior(network, dtype, memory)
    return priors


def random_values(shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
    """Get matrices that keep the size of what passes through them, and norms and biases of 1 and 0 or so."""
    if len(shape) < 2:
        return torch.rand(shape)
    return torch.empty(shape, dtype=dtype).normal_(std=float(shape[1:].numel()) ** -0.5)


def schedule_of(settings: GenerateSettings, steps: int) -> JointSchedule:
    """Make the schedule of a preset, or the beginning of one of so many steps."""
    sampling = replace(
        settings.sampling, steps=steps, rollback_steps=min(steps, settings.sampling.rollback_steps)
    )
    return JointSchedule.from_settings(sampling, settings.views)


def latent_shape(
    priors: dict[str, NetworkPrior], settings: GenerateSettings
) -> tuple[int, int, int, int, int]:
    """Return (V, F, C, h, w)."""
    channels = priors["rows"].network.config["out_channels"]
    side = settings.size // 8
    return settings.views, settings.frames, channels, side, side


def condition(prior: NetworkPrior, count: int, length: int, shape: tuple[int, ...]) -> SequenceCondition:
    """Make random conditions with guidance."""
    config = prior.network.config
    return SequenceCondition(
        torch.randn(count, *shape[2:]),
        torch.randn(count, 1, config["cross_attention_dim"]),
        torch.randn(count, length, config["projection_class_embeddings_input_dim"]),
        Guidance(constant_scale(length, 2.5)),
    )


def run_flops(preset: GenerateSettings, whole: float, shallow: float) -> float:
    """Return the arithmetic of a run, from that of an evaluation with guidance, deep or shallow."""
    sampling, total = preset.sampling, 0.0
    schedule = schedule_of(preset, sampling.steps)
    guidance = Guidance(
        constant_scale(1, sampling.views_guidance), sampling.guidance_sigma_low, sampling.guidance_sigma_high
    )
    for step in range(schedule.steps):
        evaluation = whole if schedule.is_fresh(step) else shallow
        halves = 2 if guidance.acts_at(float(schedule.sigmas[step])) else 1
        total += evaluation * halves / 2 * (2 if step < schedule.rollback_steps else 1)
    return total


def flops(priors: dict[str, NetworkPrior], settings: GenerateSettings, *, shallow: bool = False) -> float:
    """Count the arithmetic of one evaluation of the matrix: two operations per multiplication and sum.

    Args:
        priors: the networks.
        settings: the matrix.
        shallow: the levels below the first are left out, as where their features are reused.
    """
    views, frames, _, side, _ = latent_shape(priors, settings)
    rows = sequence_flops(priors["rows"].network.config, frames, side, shallow)
    return views * rows + frames * sequence_flops(priors["columns"].network.config, views, side, shallow)


def sequence_flops(config: Any, length: int, side: int, shallow: bool) -> float:
    """Count the arithmetic of one call of a network for one sequence."""
    network = build_empty(SpatioTemporalUNet, config, "the network")
    # fused attention on a CPU is not counted by torch, plain products are
    explicit = patch.object(unet_blocks, "_is_explicit_faster", lambda q: True)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad(), explicit:
        state = {key: torch.empty(t.shape) for key, t in network.state_dict().items()}
        network.load_state_dict(state, assign=True)
        inputs = (
            torch.empty(1, length, config["in_channels"], side, side),
            torch.empty(1),
            torch.empty(1, 1, config["cross_attention_dim"]),
            torch.empty(1, 1, config["projection_class_embeddings_input_dim"]),
        )
        deep = DeepFeatures()
        if shallow:
            network(*inputs, None, deep)
        with FlopCounterMode(display=False) as counter:
            network(*inputs, None, deep)
    return counter.get_total_flops()


def measure(
    priors: dict[str, NetworkPrior],
    settings: GenerateSettings,
    evaluations: int,
    workers: Workers,
    clock: Clock,
) -> tuple[float, float | None]:
    """Return the seconds of an evaluation, and the networks' share of them where one thread works."""
    shape = latent_shape(priors, settings)
    views, frames = shape[:2]
    rows = Sequences(priors["rows"], condition(priors["rows"], views, frames, shape))
    columns = Sequences(priors["columns"], condition(priors["columns"], frames, views, shape))
    inside: list[float] = []
    for prior in priors.values():
        time_calls(prior, inside, clock)

    def run(steps: int) -> float:
        # without rollbacks, so that each step is one evaluation
        schedule = replace(schedule_of(settings, steps), rollback_steps=0)
        with workers:
            began = clock()
            sample_joint(rows, columns, CellNoise(0, shape), schedule, workers)
            return clock() - began

    if priors["rows"].memory.device.type == "cuda":
        run(1)  # kernels are chosen and loaded by the first call
    inside.clear()
    seconds = run(evaluations)
    return seconds / evaluations, sum(inside) / seconds if workers.threads == 1 else None


def time_calls(prior: NetworkPrior, seconds: list[float], clock: Clock) -> None:
    """Let a network note the time of each of its calls."""
    forward = prior.network.forward

    def timed(*inputs: Any) -> torch.Tensor:
        began = clock()
        out = forward(*inputs)
        if out.is_cuda:
            torch.cuda.synchronize()
        seconds.append(clock() - began)
        return out

    prior.network.forward = timed  # type: ignore[method-assign]


def matmul_rate(device: str, dtype: torch.dtype, clock: Clock) -> float:
    """Return the operations per second of a matrix product that suits the device."""
    side = 8192 if device == "cuda" else 2048
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / min(seconds_of(lambda: left @ right, device, clock) for _ in range(8))


def seconds_of(call: Callable[[], object], device: str, clock: Clock) -> float:
    """Time a call."""
    if device == "cuda":
        torch.cuda.synchronize()
    began = clock()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - began


if __name__ == "__main__":
    main()
