"""Count the memory that a call of each full-size network takes: the arrays that are alive, without computing.

    python benchmarks/memory.py [--size 576] [--frames 25]

The networks run on arrays without numbers (torch's fake tensors), so this needs neither a GPU nor memory.
What is counted is what the code asks for, weights aside; a library's own work space comes on top. `GPU` lets
norms compute in float32 and attention be fused, as happens there. The last column is what `DeviceMemory`
plans with.
"""

import argparse
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLTemporalDecoder
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from diffusion2.priors import released, unet_blocks
from diffusion2.priors.codec import DECODER_PEAK, ENCODER_PEAK
from diffusion2.priors.network import NetworkPrior
from diffusion2.priors.stored_network import build_empty
from diffusion2.priors.unet import SpatioTemporalUNet


class LiveBytes(TorchDispatchMode):
    """While it is entered, counts the bytes of the arrays that operations make, until they are gone.

    Args:
        known: arrays that do not count, such as weights.
    """

    def __init__(self, known: list[Tensor]) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known = {tensor.untyped_storage()._cdata for tensor in known}

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Let an operation run, and note what it made."""
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._note(tensor.untyped_storage())
        return result

    def _note(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


def peak_bytes(network: torch.nn.Module, call: Callable[[], object]) -> int:
    """Return the most bytes that were alive at once during a call, the network's parameters aside."""
    with torch.no_grad(), LiveBytes(list(network.state_dict().values())) as live:
        call()
    return live.peak


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Let norms compute in float32 and attention be fused."""
    group_norm, layer_norm = F.group_norm, F.layer_norm
    with (
        patch.object(F, "group_norm", lambda x, *rest, **named: group_norm(x.float(), *rest, **named)),
        patch.object(F, "layer_norm", lambda x, *rest, **named: layer_norm(x.float(), *rest, **named)),
        patch.object(unet_blocks, "_is_explicit_faster", lambda q: False),
    ):
        yield


def fill(network: torch.nn.Module, dtype: torch.dtype) -> None:
    """Return a network parameters without numbers; norms keep float32."""
    network.load_state_dict(
        {
            name: torch.empty(tensor.shape, dtype=dtype if tensor.ndim > 1 else torch.float32)
            for name, tensor in network.state_dict().items()
        },
        assign=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=576)
    parser.add_argument("--frames", type=int, default=25)
    options = parser.parse_args()
    side = options.size // 8
    print(f"{'':44} {'counted GB':>10} {'planned GB':>10}")
    with FakeTensorMode(allow_non_fake_inputs=True):
        unet = build_empty(SpatioTemporalUNet, released.UNET, "SVD-XT")
        fill(unet, torch.bfloat16)
        prior = NetworkPrior(unet, torch.bfloat16)
        for rows in (1, 2, 4):
            shape = (2 * rows, options.frames, 8, side, side)
            inputs = torch.empty(shape), torch.empty(2 * rows), torch.empty(2 * rows, 1, 1024)
            vector = torch.empty(2 * rows, 1, 768)

            def call(inputs: tuple[Tensor, ...] = inputs, vector: Tensor = vector) -> None:
                with torch.autocast("cpu", torch.bfloat16):
                    unet(*inputs, vector)

            planned = rows * prior.bytes_each(torch.Size((rows, *shape[1:])), guided=True)
            with as_on_a_gpu():
                row(f"{rows} guided rows of {options.frames} images, GPU", peak_bytes(unet, call), planned)
            row(f"{rows} guided rows of {options.frames} images, CPU", peak_bytes(unet, call), planned)
        vae = build_empty(AutoencoderKLTemporalDecoder, released.AUTOENCODER, "SVD-XT")
        fill(vae, torch.float32)
        first_level = released.AUTOENCODER["block_out_channels"][0] * options.size**2 * 4
        for count in (1, 10):
            latents = torch.empty(count, 4, side, side)
            pixels = torch.empty(count, 3, options.size, options.size)

            def decode(latents: Tensor = latents) -> None:
                vae.decode(latents, num_frames=len(latents))

            def encode(pixels: Tensor = pixels) -> None:
                vae.encode(pixels).latent_dist.mode()

            row(
                f"{count} images decoded, float32",
                peak_bytes(vae, decode),
                count * DECODER_PEAK * first_level,
            )
            row(
                f"{count} images encoded, float32",
                peak_bytes(vae, encode),
                count * ENCODER_PEAK * first_level,
            )


def row(name: str, counted: float, planned: float) -> None:
    """Print a row."""
    print(f"{name:44} {counted / 1e9:10.2f} {planned / 1e9:10.2f}", flush=True)


if __name__ == "__main__":
    main()
