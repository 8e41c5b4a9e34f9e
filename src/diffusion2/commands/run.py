"""Commands that make a run: both stages, or one of them."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, Suppress, arg

from diffusion2.commands.terminal import Terminal
from diffusion2.config import GenerateSettings, InputSettings, PresetName, ReconstructionSettings
from diffusion2.runs.source import Source

if TYPE_CHECKING:
    from diffusion2.runs.run_folder import RunFolder

SHORT = {
    "--elevation": ("--elevation-deg",),
    "--azimuths": ("--azimuths-deg",),
    "--motion": ("--sampling.motion-bucket-id",),
    "--offload": ("--sampling.offload",),
    "--fps": ("--fps", "--video-fps", "--sampling.fps-id"),
}
"""Spellings of a run's options that set one or several of them."""


def spell_out(arguments: list[str]) -> list[str]:
    """Replace short spellings in the arguments of `generate` and `sample`, and long ones of `reconstruct`."""
    if arguments[:1] == ["reconstruct"]:  # its options are those of `generate` without the prefix
        return [re.sub(r"^--reconstruction\.", "--", argument) for argument in arguments]
    if arguments[:1] not in (["generate"], ["sample"]):
        return arguments
    written = {argument.partition("=")[0].replace("_", "-") for argument in arguments}
    spelled = []
    for index, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        following = value if equals else "".join(arguments[index + 1 : index + 2])
        if name == "--views" and following and not following.lstrip("-").isdecimal():
            spelled.append("--given-views" + equals + value)
        elif name in SHORT:
            # one that is also given by itself keeps its own value
            others = [other for other in SHORT[name][1:] if other not in written]
            for other in others:
                spelled += [other, following]
            spelled.append(SHORT[name][0] + equals + value)
        else:
            spelled.append(argument)
    return spelled


@dataclass(frozen=True)
class Generate:
    """Turn a picture, a video, words or a 3D model into a moving 3D asset: both stages and all results."""

    out: Path
    """Folder of the run, new or empty."""
    input: Annotated[Positional[Path | None], arg(metavar="INPUT")] = None
    """A picture, a video, a folder of frames, or a 3D model; docs/inputs.md has the formats."""
    prompt: str = ""
    """Words instead of an INPUT, of which --text-model makes a picture."""
    video: Path | None = None
    """A video or folder of frames of the reference view, beside an INPUT or alone."""
    given_views: Path | None = None
    """A folder of the views at the reference time, beside an INPUT or alone (or --views FOLDER)."""
    mask: Path | None = None
    """The object in the picture or video, white on black: a picture, a video or a folder of pictures."""
    preset: PresetName = "mini"
    """Chooses the defaults of all options below."""
    overwrite: bool = False
    """Replace the run that is in the folder, once this one is complete."""
    resume: bool = False
    """Continue the run that is in the folder, with the settings it began with; INPUT can be left out."""
    input_settings: Annotated[InputSettings, arg(name="")] = field(default_factory=InputSettings)
    settings: Annotated[GenerateSettings, arg(name="")] = field(default_factory=GenerateSettings)
    reason: Suppress[str] = ""

    def run(self) -> None:
        """Run both stages."""
        run = self._start(stage1_only=False)
        print(f"open {run.viewer_path} in a browser: turn it with the mouse, scrub the time")

    def _start(self, *, stage1_only: bool) -> "RunFolder":
        from diffusion2.pipeline import generate

        source = Source(self.input, self.prompt, self.video, self.given_views, self.input_settings, self.mask)
        with Terminal() as terminal:
            return generate(
                source,
                self.out,
                self.preset,
                settings=self.settings,
                overwrite=self.overwrite,
                resume=self.resume,
                report=terminal,
                reason=self.reason,
                stage1_only=stage1_only,
            )


@dataclass(frozen=True)
class Sample(Generate):
    """Stage 1 alone: the input becomes the image matrix; `reconstruct` goes on from it."""

    def run(self) -> None:
        """Run stage 1."""
        self._start(stage1_only=True)


@dataclass(frozen=True)
class Reconstruct:
    """Stage 2 alone: matrix/ and cameras.json of a folder, whoever wrote them, become the asset.

    A run's own settings are the defaults of the options below.
    """

    folder: Positional[Path]
    """A run's folder."""
    overwrite: bool = False
    """Replace the asset that is in the folder."""
    seed: int = 0
    """Seed of all that is drawn."""
    reconstruction: Annotated[ReconstructionSettings, arg(name="")] = field(
        default_factory=ReconstructionSettings
    )

    def run(self) -> None:
        """Run stage 2."""
        from diffusion2.pipeline import reconstruct_folder

        with Terminal() as terminal:
            reconstruct_folder(
                self.folder, self.reconstruction, seed=self.seed, overwrite=self.overwrite, report=terminal
            )
