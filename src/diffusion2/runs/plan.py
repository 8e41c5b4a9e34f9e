"""What a run is made of and with, all choices made: for a new run, and for one that goes on."""

import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from diffusion2.config import (
    PRESETS,
    GenerateSettings,
    InputSettings,
    check_known,
    name_preset,
    settings_from_dict,
)
from diffusion2.errors import InputError
from diffusion2.runs.run_folder import RunFolder
from diffusion2.runs.source import Source
from diffusion2.weights.catalogue import choose_preset, weights_hashes

VERSIONED = ("diffusion2", "torch", "numpy", "diffusers", "transformers", "numba", "safetensors")
"""Packages whose versions a run records."""
BEST = "the best that runs here: "
"""Said of the best preset, whether it was asked for or left open."""


@dataclass(frozen=True)
class Plan:
    """What a run is made of and with.

    Attributes:
        source: what it starts from.
        settings: what decides the result; `settings.preset` is what they began from.
        reason: why these.
    """

    source: Source
    settings: GenerateSettings
    reason: str

    @property
    def changes(self) -> dict[str, Any]:
        """The settings that differ from the preset's, by names like "sampling.steps"."""
        if self.settings.preset not in PRESETS:
            return {}
        theirs = _flat(asdict(PRESETS[self.settings.preset]))
        return {name: value for name, value in _flat(asdict(self.settings)).items() if value != theirs[name]}

    def to_config(self, device: str) -> dict[str, Any]:
        """Return the contents of `config.json` for a new run.

        Args:
            device: where the networks run.
        """
        return {
            "settings": asdict(self.settings),
            "preset": self.settings.preset,
            "preset_changes": self.changes,
            "preset_reason": self.reason,
            "input": self.source.to_record(),
            "device": device,
            "weights": weights_hashes(self.settings.priors, self.settings.weights),
            "versions": {"python": platform.python_version(), **package_versions()},
            "platform": platform.platform(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def facts_to_share(settings: GenerateSettings) -> dict[str, Any]:
    """Return what the processes of one run have to agree on, and what tells the others what to do."""
    return {
        "settings": asdict(settings),
        "arguments": sys.argv[1:],
        "versions": package_versions(),
        "weights": weights_hashes(settings.priors, settings.weights),
    }


def check_shared_facts(theirs: Mapping[str, Any]) -> GenerateSettings:
    """Compare what the first process of a run says with what holds for this one; return the settings.

    Raises:
        InputError: a version, the weights or the arguments differ.
    """
    settings = settings_from_dict(theirs["settings"])
    ours = facts_to_share(settings)
    for what in ("versions", "weights"):
        for name in sorted(theirs[what].keys() | ours[what].keys()):
            here, there = (str(facts[what].get(name, "none"))[:12] for facts in (ours, theirs))
            if here != there:
                raise InputError(
                    f"its {name} is {here}, the first process has {there}: all need the same {what}"
                )
    if ours["arguments"] != theirs["arguments"]:
        raise InputError("it was started with other arguments than the first process")
    return settings


def plan_run(source: Source, preset: str | GenerateSettings | None) -> Plan:
    """Choose what is left open for a new run.

    Args:
        source: what it starts from.
        preset: the name of a preset, or settings; None: the best preset that this machine can run.

    Raises:
        InputError: there is no such preset, or it is neither.
    """
    if preset is None:
        name, why = choose_preset()
        return Plan(source, PRESETS[name], BEST + why)
    if isinstance(preset, str):
        return Plan(source, _named(preset), "as asked")
    if not isinstance(preset, GenerateSettings):
        raise InputError(f"a run is made with the name of a preset or with GenerateSettings, not {preset!r}")
    settings = name_preset(preset)
    if settings.preset == "none":
        return Plan(source, settings, "settings as given")
    best, why = choose_preset(settings.weights)
    return Plan(source, settings, BEST + why if settings.preset == best else "as asked")


def plan_resumed(run: RunFolder, source: Source, preset: str | GenerateSettings | None) -> Plan:
    """Go on with what a run began with; refuse anything else.

    Args:
        run: the folder.
        source: what it is said to have started from; parts that are not named do not count.
        preset: the preset or the settings it is said to have; None: whatever it has.

    Raises:
        InputError: another input, preset or setting is given.
        AssetFormatError: the folder's records can't be read.
    """
    began = Plan(run.read_source(), run.read_settings(), "as the run began")
    if isinstance(preset, str):
        is_same = _named(preset).preset == began.settings.preset
    else:
        is_same = preset is None or name_preset(preset) == began.settings
    if not is_same or source.settings not in (InputSettings(), began.source.settings):
        raise InputError(
            f"the run in {run.path} was begun with other settings: resume it without options, or start again "
            "with --overwrite"
        )
    if not source.is_recorded(run.read_input()):
        raise InputError(f"{source} is not the input that the run in {run.path} was begun with")
    return began


def _named(preset: str) -> GenerateSettings:
    check_known("preset", [preset], PRESETS)
    return PRESETS[preset]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def package_versions() -> dict[str, str]:
    """Look up the versions of what a run depends on, by the name of the package."""
    found = {}
    for name in VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
