"""What this machine has, and what will run on it."""

import importlib.util
import os
import platform
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from diffusion2.cameras import make_cameras
from diffusion2.errors import WeightsError
from diffusion2.gaussians.rasterize import rasterize
from diffusion2.inputs.cutting import matting
from diffusion2.metrics.networks import NETWORKS, find_metric_network
from diffusion2.runs.plan import package_versions
from diffusion2.weights.catalogue import WeightsEntry, choose_preset, list_weights, noted_hash
from diffusion2.weights.hashes import file_hash

HASHED_AT_ONCE = 1e8
"""Bytes up to which a file is hashed for a list."""


def weights_lines(folder: Path | None = None, *, with_files: bool = False) -> list[str]:
    """Get one line per network: pair, name, size or "missing", licence, place; then those of `other_lines`.

    Args:
        folder: of full-size weights, see `find_full_size`.
        with_files: add a line per file with its hash, where it is known or the file is small.
    """
    lines = []
    for entry in list_weights(folder):
        lines.append(_weights_line(entry))
        lines += [_file_line(path) for path in entry.files if with_files]
    return lines + other_lines()


def other_lines() -> list[str]:
    """Return one line per network beside the priors: those that measure and the one that cuts objects out."""
    finders: dict[str, Callable[[], object]] = {
        f"metrics {n}": partial(find_metric_network, n) for n in NETWORKS
    }
    finders["matting u2netp"] = matting.find_matting_network
    lines = []
    for name, find in finders.items():
        try:
            lines.append(f"{name}: {find()}")
        except WeightsError as error:
            lines.append(f"{name}: missing ({error})")
    if importlib.util.find_spec("onnxruntime") is None:
        lines.append(f"matting runtime: missing (onnxruntime: {matting.INSTALL})")
    return lines


def machine_lines() -> list[str]:
    """Return the report of `diffusion2 doctor`."""
    preset, reason = choose_preset()
    lines = [
        f"machine    {platform.platform()}, Python {platform.python_version()}",
        f"cpu        {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads{_memory()}",
        f"gpu        {_gpu()}",
        f"disk       {shutil.disk_usage('.').free / 1e9:.0f} GB free here",
        f"rasteriser {_rasteriser()}",
        f"preset     {preset} ({reason})",
    ]
    lines += [f"version    {name} {version}" for name, version in package_versions().items()]
    return lines + [f"weights    {line}" for line in weights_lines()]


def _weights_line(entry: WeightsEntry) -> str:
    if entry.files:
        return f"{entry.pair} {entry.name}: {entry.megabytes:.1f} MB, {entry.licence}, {entry.source}"
    return f"{entry.pair} {entry.name}: missing (licence: {entry.licence}; {entry.source})"


def _file_line(path: Path) -> str:
    digest = noted_hash(path) or (file_hash(path) if path.stat().st_size < HASHED_AT_ONCE else None)
    return f"  {path.parent.name}/{path.name}: sha256 {digest or 'unknown; weights check finds it out'}"


def _gpu() -> str:
    if not torch.cuda.is_available():
        return "none that torch can use; not needed for the preset mini"
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name}, {properties.total_memory / 1e9:.0f} GB; the full-size networks run on it"


def _rasteriser() -> str:
    """Draw one Gaussian and go backward: compiles the kernels, which later runs find compiled."""
    start = time.perf_counter()
    camera = make_cameras([0.0], height=16)
    means = torch.zeros(1, 3, requires_grad=True)
    try:
        rendering = rasterize(
            means,
            torch.tensor([[1.0, 0, 0, 0]]),
            torch.full((1, 3), 0.1),
            torch.tensor([0.9]),
            torch.ones(1, 3),
            torch.as_tensor(camera.viewmats, dtype=torch.float32),
            torch.as_tensor(camera.Ks, dtype=torch.float32),
            camera.width,
            camera.height,
        )
        (rendering.rgb.square().sum() + rendering.alpha.sum()).backward()
    except Exception as error:  # this report must say what is wrong and go on
        return f"does not work: {type(error).__name__}: {' '.join(str(error).split())}"
    return f"cpu (Numba), ready in {time.perf_counter() - start:.1f} s"


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return ""
    return f", {size / 1e9:.0f} GB memory"
