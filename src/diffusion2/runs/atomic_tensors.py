"""Safetensors files that are whole or not there, and the same bytes for the same content."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from diffusion2.atomic_files import atomic_path

ALIGNMENT = 8
"""The format's: tensors begin at a multiple of so many bytes."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file, atomically.

    The library writes its metadata in the order of a randomly seeded table, so that the same content differs
    in bytes from process to process. Here the header is sorted.

    Args:
        path: the file; its folder must exist.
        tensors: of any type, on any device; no two share memory.
        metadata: what the header keeps beside them.

    Raises:
        OSError: it can't be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = memoryview(save(plain, dict(metadata)))
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(bytes(content[8:begin])), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % ALIGNMENT)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        file.write(content[begin:])


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Hash names and contents: safetensors itself doesn't notice a changed byte in a tensor."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(
            tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()
