"""Time the metric networks on one core, and measure how much memory they take.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py [alex|vgg|i3d|clip ...]

Processor time, not wall time, so that other work on the machine disturbs less; the least of several calls.
The memory is the largest resident set of a process that measures one network only, less that before it was
loaded. CLIP has random weights here, which take as long as others.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

CALLS = 3
NETWORKS = ("alex", "vgg", "clip", "i3d")


def main() -> None:
    """Print a line for each network and size, each network in a process of its own."""
    arguments = sys.argv[1:]
    if len(arguments) == 1:
        measure(arguments[0])
        return
    for name in arguments or NETWORKS:
        subprocess.run([sys.executable, __file__, name], check=True)


@torch.no_grad()
def measure(name: str) -> None:
    """Time one network."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    if name == "i3d":
        from diffusion2.metrics.i3d import load_i3d

        before = memory()
        i3d = load_i3d()
        for frames, size in ((12, 128), (16, 224), (25, 512)):
            clip = torch.rand(1, frames, 3, size, size, generator=generator)
            time_calls(f"i3d, a clip of {frames} x {size} px", lambda clip=clip: i3d(clip))
        print(f"{'':34} {memory() - before:8.2f} GB")
        return
    before = memory()
    compare = load_comparison(name)
    for size, pairs in ((128, 16), (512, 2)):
        images, others = torch.rand(2, pairs, 3, size, size, generator=generator)
        time_calls(f"{name}, a pair of {size} px", lambda a=images, b=others: compare(a, b), pairs)
    print(f"{'':34} {memory() - before:8.2f} GB")


def load_comparison(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Load a network that compares pictures."""
    if name == "clip":
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        from diffusion2.metrics.clip import ClipSimilarity

        return ClipSimilarity(CLIPVisionModelWithProjection(CLIPVisionConfig()), 224, "random weights")
    from diffusion2.metrics.lpips import load_lpips

    return load_lpips("vgg" if name == "vgg" else "alex")


def memory() -> float:
    """Return the process's largest resident set until now in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def time_calls(label: str, call: Callable[[], Tensor], items: int = 1) -> None:
    """Print the processor time of one item, the least of several calls."""
    call()
    times = []
    for _ in range(CALLS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    print(f"{label:34} {min(times) / items:8.3f} s", flush=True)


if __name__ == "__main__":
    main()
