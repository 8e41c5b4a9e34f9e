"""Time one network of the mini pair on one core: denoising (with guidance) and a training step.

    python benchmarks/network.py

Processor time, not wall time, so that other work on the machine disturbs less; the least of several
calls. One evaluation of the matrix is 12 rows and 12 columns with guidance; the run has two networks of
this size, and as many threads as cores share the sequences.
"""

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from diffusion2.priors.guidance import Guidance, constant_scale
from diffusion2.priors.network import NetworkPrior, SequenceCondition
from diffusion2.priors.unet import SpatioTemporalUNet
from diffusion2.training.diffusion import NETWORK_CONFIGS
from diffusion2.training.vae import LATENT_CHANNELS

CONFIG = NETWORK_CONFIGS["video"]
FRAMES, CHANNELS, SIDE, CONTEXT = 12, LATENT_CHANNELS, 16, CONFIG["cross_attention_dim"]
SEQUENCES = 24


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    with FlopCounterMode(display=False) as counter:
        denoise(1, 1.0, torch.float32)()
    flops = counter.get_total_flops()
    print(f"one sequence of {FRAMES} images: {flops / 1e9:.1f} GFLOP forward")
    print(f"{'':32} {'ms a sequence':>14} {'GFLOP/s':>8}")
    for dtype in (torch.float32, torch.bfloat16):
        for scale, batch in ((1.0, 1), (1.75, 1), (1.75, 2), (1.75, 4)):
            seconds = least_seconds(denoise(batch, scale, dtype)) / batch
            done = flops * (2 if scale != 1 else 1)
            name = f"{str(dtype)[6:]} {'guided' if scale != 1 else 'plain'}, batch {batch}"
            print(f"{name:32} {1000 * seconds:14.0f} {done / seconds / 1e9:8.0f}")
        seconds = least_seconds(train_step(4, dtype)) / 4
        print(f"{str(dtype)[6:] + ' training step, batch 4':32} {1000 * seconds:14.0f}")
    seconds = least_seconds(denoise(2, 1.75, torch.bfloat16)) / 2 * SEQUENCES
    print(f"one guided evaluation of a 12 x 12 matrix, bfloat16: {seconds:.1f} core seconds")


def make_network() -> SpatioTemporalUNet:
    """Make a video network of the mini pair's size with random weights."""
    torch.manual_seed(0)
    return SpatioTemporalUNet(**CONFIG)


def denoise(batch: int, scale: float, dtype: torch.dtype) -> Callable[[], object]:
    """Make a call that denoises `batch` sequences."""
    prior = NetworkPrior(make_network(), dtype)
    condition = SequenceCondition(
        torch.randn(batch, 1, CHANNELS, SIDE, SIDE),
        torch.randn(batch, 1, CONTEXT),
        torch.randn(batch, 1, CONFIG["projection_class_embeddings_input_dim"]),
        Guidance(constant_scale(FRAMES, scale)),
    )
    latents = torch.randn(batch, FRAMES, CHANNELS, SIDE, SIDE)
    return lambda: prior.denoise(latents, 1.0, condition)


def train_step(batch: int, dtype: torch.dtype) -> Callable[[], object]:
    """Make a call that does a forward and a backward pass of `batch` sequences."""
    network = make_network()
    inputs = (
        torch.randn(batch, FRAMES, 2 * CHANNELS, SIDE, SIDE),
        torch.randn(batch),
        torch.randn(batch, 1, CONTEXT),
        torch.randn(batch, FRAMES, CONFIG["projection_class_embeddings_input_dim"]),
    )

    def step() -> None:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            out = network(*inputs)
        out.float().square().mean().backward()

    return step


def least_seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Return the least processor time of several calls, after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
