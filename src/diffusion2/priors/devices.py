"""Where networks run, and in which type of numbers."""

from typing import Literal

import torch

from diffusion2.errors import BackendUnavailable

Precision = Literal["auto", "float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda"]


def choose_device(device: Device, pair: str) -> str:
    """Choose where a pair's networks run.

    Args:
        device: what was asked for; "auto" is a GPU, if there is one, for the full-size pair. The mini pair
            is made for CPUs.
        pair: "mini" or "svd-sv3d".

    Returns:
        "cpu" or "cuda"

    Raises:
        BackendUnavailable: a GPU was asked for, and torch finds none.
    """
    has_gpu = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if has_gpu and pair != "mini" else "cpu"
    if device == "cuda" and not has_gpu:
        raise BackendUnavailable(
            "torch finds no GPU: install a build of torch for CUDA, or use --sampling.device cpu"
        )
    return device


def choose_dtype(precision: Precision, device: str = "cpu") -> torch.dtype:
    """Choose the type that networks compute in.

    Args:
        precision: what was asked for; "auto" is float16 on a GPU, in which the release computes, and bfloat16
            on a CPU that has it.
        device: "cpu" or "cuda".
    """
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
    if device != "cpu":
        return torch.float16
    # without this instruction bfloat16 is emulated, and slower than float32; older torch can't tell
    is_fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if is_fast() else torch.float32
