"""What this machine has, and what will run on it."""

import os
import platform
import shutil
from importlib import metadata

import torch

from diffusion2.run_folder import VERSIONED
from diffusion2.weights import WeightsEntry, choose_preset, list_weights


def weights_lines() -> list[str]:
    """Give one line per network: pair, name, size or "missing", licence, place."""
    return [_weights_line(entry) for entry in list_weights()]


def machine_lines() -> list[str]:
    """Give the report of `diffusion2 doctor`."""
    preset, reason = choose_preset()
    lines = [
        f"machine    {platform.platform()}, Python {platform.python_version()}",
        f"cpu        {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads{_memory()}",
        f"gpu        {_gpu()}",
        f"disk       {shutil.disk_usage('.').free / 1e9:.0f} GB free here",
        "rasteriser cpu (Numba)",
        f"preset     {preset} ({reason})",
    ]
    lines += [f"version    {name} {_version(name)}" for name in VERSIONED]
    return lines + [f"weights    {line}" for line in weights_lines()]


def _weights_line(entry: WeightsEntry) -> str:
    if entry.files:
        return f"{entry.pair} {entry.name}: {entry.megabytes:.1f} MB, {entry.licence}, {entry.source}"
    return f"{entry.pair} {entry.name}: missing ({entry.source}, licence {entry.licence})"


def _gpu() -> str:
    if not torch.cuda.is_available():
        return "none that torch can use; not needed for the preset mini"
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name}, {properties.total_memory / 1e9:.0f} GB; this version runs on the CPU"


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return ""
    return f", {size / 1e9:.0f} GB memory"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
