"""Diffusion²: pictures into moving 3D assets.

    import diffusion2

    run = diffusion2.generate("creature.png", "runs/creature", "mini")
    asset = diffusion2.load_asset(run.asset_path)
    diffusion2.render(asset, diffusion2.make_cameras([0, 90]), time=0.5)
    diffusion2.export(asset, "creature.mp4")

Names are imported when they are first used, so that `import diffusion2` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffusion2.batch.generate_many import generate_many
    from diffusion2.batch.summary import BatchSummary
    from diffusion2.cameras import Cameras, make_cameras, orbit
    from diffusion2.config import (
        PRESETS,
        ExportSettings,
        GenerateSettings,
        InputSettings,
        ReconstructionSettings,
        SamplingSettings,
    )
    from diffusion2.errors import (
        AssetFormatError,
        BackendUnavailable,
        Diffusion2Error,
        ExportError,
        InputError,
        NumericalError,
        OutOfMemory,
        ProcessError,
        RunsFailed,
        WeightsError,
    )
    from diffusion2.events import (
        Event,
        Report,
        ResultWritten,
        RunFinished,
        RunStarted,
        StageFinished,
        StageProgress,
        StageStarted,
        Warned,
    )
    from diffusion2.exporters import export
    from diffusion2.gaussians import Asset4D, AssetMetadata, Gaussians, load_asset, render
    from diffusion2.image_matrix import Conditions, ImageMatrix
    from diffusion2.pipeline import generate, preview, reconstruct, sample
    from diffusion2.reconstruction import reconstruct_matrix
    from diffusion2.runs.matrix_files import read_matrix
    from diffusion2.runs.run_folder import RunFolder
    from diffusion2.runs.source import Source

_HOMES = {
    "generate": "pipeline",
    "generate_many": "batch.generate_many",
    "BatchSummary": "batch.summary",
    "preview": "pipeline",
    "reconstruct": "pipeline",
    "sample": "pipeline",
    "reconstruct_matrix": "reconstruction",
    "Asset4D": "gaussians",
    "AssetMetadata": "gaussians",
    "Gaussians": "gaussians",
    "load_asset": "gaussians",
    "render": "gaussians",
    "export": "exporters",
    "read_matrix": "runs.matrix_files",
    "RunFolder": "runs.run_folder",
    "Source": "runs.source",
    "Cameras": "cameras",
    "make_cameras": "cameras",
    "orbit": "cameras",
    "Conditions": "image_matrix",
    "ImageMatrix": "image_matrix",
    "PRESETS": "config",
    "ExportSettings": "config",
    "GenerateSettings": "config",
    "InputSettings": "config",
    "ReconstructionSettings": "config",
    "SamplingSettings": "config",
    "Event": "events",
    "Report": "events",
    "ResultWritten": "events",
    "RunFinished": "events",
    "RunStarted": "events",
    "StageFinished": "events",
    "StageProgress": "events",
    "StageStarted": "events",
    "Warned": "events",
    "AssetFormatError": "errors",
    "BackendUnavailable": "errors",
    "Diffusion2Error": "errors",
    "ExportError": "errors",
    "InputError": "errors",
    "NumericalError": "errors",
    "OutOfMemory": "errors",
    "ProcessError": "errors",
    "RunsFailed": "errors",
    "WeightsError": "errors",
}

__all__ = [
    "PRESETS",
    "Asset4D",
    "AssetFormatError",
    "AssetMetadata",
    "BackendUnavailable",
    "BatchSummary",
    "Cameras",
    "Conditions",
    "Diffusion2Error",
    "Event",
    "ExportError",
    "ExportSettings",
    "Gaussians",
    "GenerateSettings",
    "ImageMatrix",
    "InputError",
    "InputSettings",
    "NumericalError",
    "OutOfMemory",
    "ProcessError",
    "ReconstructionSettings",
    "Report",
    "ResultWritten",
    "RunFinished",
    "RunFolder",
    "RunStarted",
    "RunsFailed",
    "SamplingSettings",
    "Source",
    "StageFinished",
    "StageProgress",
    "StageStarted",
    "Warned",
    "WeightsError",
    "export",
    "generate",
    "generate_many",
    "load_asset",
    "make_cameras",
    "orbit",
    "preview",
    "read_matrix",
    "reconstruct",
    "reconstruct_matrix",
    "render",
    "sample",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'diffusion2' has no attribute {name!r}")
    value = getattr(import_module(f"diffusion2.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
