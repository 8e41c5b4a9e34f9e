"""Settings and presets. Every option of a run is a field here; the command line is made from it.

`checks` refuses what does not fit, `settings` and `export_settings` have the fields, `presets` the table.
Nothing heavy is imported, so that `--help` answers at once.
"""

from diffusion2.config.checks import (
    Between,
    Settings,
    Share,
    check_known,
    check_range,
    closest,
    conform_fields,
)
from diffusion2.config.export_settings import ExportSettings, MeshSettings
from diffusion2.config.presets import PRESETS, move_to_preset, name_preset
from diffusion2.config.settings import (
    GenerateSettings,
    InputSettings,
    PresetName,
    ReconstructionSettings,
    RollbackNoise,
    SamplingSettings,
    Solver,
    input_settings_from_dict,
    settings_from_dict,
)

__all__ = [
    "PRESETS",
    "Between",
    "ExportSettings",
    "GenerateSettings",
    "InputSettings",
    "MeshSettings",
    "PresetName",
    "ReconstructionSettings",
    "RollbackNoise",
    "SamplingSettings",
    "Settings",
    "Share",
    "Solver",
    "check_known",
    "check_range",
    "closest",
    "conform_fields",
    "input_settings_from_dict",
    "move_to_preset",
    "name_preset",
    "settings_from_dict",
]
