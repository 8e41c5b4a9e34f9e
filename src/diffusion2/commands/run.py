"""Commands that make a run: both stages, or one of them."""

import os
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from diffusion2.commands.terminal import Terminal
from diffusion2.config import PRESETS, GenerateSettings, InputSettings, ReconstructionSettings
from diffusion2.errors import InputError
from diffusion2.runs.source import Source

if TYPE_CHECKING:
    from diffusion2.runs.run_folder import RunFolder

SHORT = {
    "--elevation": "--elevation-deg",
    "--azimuths": "--azimuths-deg",
    "--motion": "--sampling.motion-bucket-id",
    "--offload": "--sampling.offload",
}
"""Short spellings of a run's options."""
RATES = ("--video-fps", "--sampling.fps-id")
"""What --fps sets, too, unless it is given by itself."""
PROCESSES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
"""Where torchrun and MPI's starters say how many processes they started."""


def spell_out(arguments: list[str]) -> list[str]:
    """Replace short spellings in the arguments of `generate` and `sample`, and long ones of `reconstruct`."""
    if arguments[:1] == ["reconstruct"]:  # its options are those of `generate` without the prefix
        return [re.sub(r"^--reconstruction\.", "--", argument) for argument in arguments]
    if arguments[:1] not in (["generate"], ["sample"], ["preview"]):
        return arguments
    spelled = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, value = argument.partition("=")
        given = value if equals else following
        if name == "--views" and given and not given.lstrip("-").isdecimal():
            name = "--given-views"
        spelled.append(SHORT.get(name, name) + equals + value)
    fps = peek(arguments).fps
    followers = [] if fps is None else [f"{option}={fps}" for option in RATES]
    return [spelled[0], *followers, *spelled[1:]]  # of an option that is given twice, the last one counts


def peek(arguments: list[str]) -> Namespace:
    """Read the options on which others, or their defaults, depend; errors are left to the whole parse."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    for option in ("--out", "--preset", "--weights", "--fps"):
        parser.add_argument(option, nargs="?")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_known_args(arguments)[0]


def refuse_many_processes(*, torchrun: bool = False) -> None:
    """Refuse to be one of several processes, each of which would make the same run.

    Args:
        torchrun: let those that torchrun started pass, as they work together.

    Raises:
        InputError: names the variable that says so.
    """
    for variable in PROCESSES:
        count = os.environ.get(variable, "")
        if count.isdecimal() and int(count) > 1 and not (torchrun and torchrun_started()):
            raise InputError(
                f"this is one of {count} processes ({variable}), and each would make the same run: start it "
                "once; or generate, sample and train with torchrun, for whose processes they share the work"
            )


def torchrun_started() -> bool:
    """Say whether torchrun started this process beside others, with all that it takes to find them."""
    count = os.environ.get("WORLD_SIZE", "")
    return (
        count.isdecimal() and int(count) > 1 and os.environ.keys() >= {"RANK", "MASTER_ADDR", "MASTER_PORT"}
    )


@contextmanager
def together(arguments: list[str]) -> Iterator[bool]:
    """Join the other processes that torchrun started to make one run.

    Args:
        arguments: of the command line; commands that make no matrix are left alone.

    Yields:
        Whether this process has a command to run. If not, it has done its share of the first one's work.
    """
    if arguments[:1] not in (["generate"], ["sample"]) or not torchrun_started():
        yield True
        return
    from diffusion2.distributed import Message, joined
    from diffusion2.pipeline import assist

    with joined() as group:
        if not group.is_first:
            assist(group)
        yield group.is_first
        if group.is_first and not group.sent["broadcast"]:
            group.broadcast(Message())  # there was nothing to do: help was shown, or all is there


@dataclass(frozen=True)
class _Run:
    """What the commands have in common that make a run of an input."""

    out: Path
    """Folder of the run, new or empty; of several inputs, the folder of their folders."""
    prompt: str = ""
    """Words instead of an INPUT, of which --text-model makes a picture."""
    video: Path | None = None
    """A video or folder of frames of the reference view, beside an INPUT or alone."""
    given_views: Path | None = None
    """A folder of the views at the reference time, beside an INPUT or alone (or --views FOLDER)."""
    mask: Path | None = None
    """The object in the picture or video, white on black: a picture, a video or a folder of pictures."""
    overwrite: bool = False
    """Replace the run that is in the folder, once this one is complete."""
    resume: bool = False
    """Continue the run that is in the folder, with the settings it began with; INPUT can be left out."""
    input_settings: Annotated[InputSettings, arg(name="")] = field(default_factory=InputSettings)
    settings: Annotated[GenerateSettings, arg(name="")] = field(default_factory=GenerateSettings)

    def _make(self, stages: Callable[..., "RunFolder"], given: Path | None) -> "RunFolder":
        from diffusion2.distributed import current_group

        refuse_many_processes(torchrun=True)
        source = Source(given, self.prompt, self.video, self.given_views, self.input_settings, self.mask)
        with Terminal() as terminal:
            return stages(
                source,
                self.out,
                self.settings,
                overwrite=self.overwrite,
                resume=self.resume,
                report=terminal,
                group=current_group(),
            )


@dataclass(frozen=True)
class Generate(_Run):
    """Turn a picture, a video, words or a 3D model into a moving 3D asset: both stages and all results.

    Several inputs, a pattern in quotes, a list (.txt) or a table with settings for each (.csv) become a
    folder each in --out; docs/batches.md. The same call goes on with what is not finished.
    """

    inputs: Annotated[Positional[tuple[Path, ...]], arg(metavar="INPUT")] = ()
    """A picture, a video, a folder of frames, or a 3D model; docs/inputs.md has the formats. Or several."""
    engine: Literal["local", "ray"] = "local"
    """Where several inputs are worked on: here, one after the other, or on a Ray cluster."""
    ray_address: str | None = None
    """Of the cluster; None: what RAY_ADDRESS says, or else Ray is started on this machine."""

    def run(self) -> None:
        """Run both stages."""
        from diffusion2.batch.jobs import are_many

        if self.engine == "ray" or are_many(self.inputs):
            self._make_many()
            return
        from diffusion2.pipeline import generate

        run = self._make(generate, next(iter(self.inputs), None))
        print(f"open {run.viewer_path} in a browser: turn it with the mouse, scrub the time")

    def _make_many(self) -> None:
        from diffusion2.batch.generate_many import generate_many

        refuse_many_processes()
        self._refuse_parts_of_one()
        with Terminal() as terminal:
            summary = generate_many(
                self.inputs,
                self.out,
                self.settings,
                input_settings=self.input_settings,
                overwrite=self.overwrite,
                engine=self.engine,
                ray_address=self.ray_address,
                report=terminal,
            )
        print(f"{len(summary.runs)} of {len(summary.jobs)} runs are finished")
        for outcome in summary.failed:
            print(f"failed: {outcome.name}: {outcome.error}")
        summary.check()

    def _refuse_parts_of_one(self) -> None:
        """Refuse what can belong to one input only.

        Raises:
            InputError: names the option.
        """
        options = {"prompt": self.prompt, "video": self.video, "given-views": self.given_views}
        for name in (name for name, value in {**options, "mask": self.mask}.items() if value):
            raise InputError(
                f"--{name} belongs to one input: give several in a table (.csv), see docs/batches.md"
            )
        if self.overwrite and self.resume:
            raise InputError("choose one of --overwrite (start again) and --resume (continue)")


@dataclass(frozen=True)
class Preview:
    """Lift a picture to a static 3D asset in seconds, by the mini pair alone and without sampling anything.

    `generate --out FOLDER --resume` goes on from it to the moving asset.
    """

    out: Path
    """Folder of the run, new or empty."""
    input: Annotated[Positional[Path | None], arg(metavar="INPUT")] = None
    """A picture; of a video, a folder of frames or a 3D model the reference picture is taken."""
    prompt: str = ""
    """Words instead of an INPUT, of which --text-model makes a picture."""
    mask: Path | None = None
    """The object in the picture, white on black."""
    overwrite: bool = False
    """Replace the run that is in the folder, once this one is complete."""
    elevation_deg: float = PRESETS["mini"].elevation_deg
    """Elevation of the camera that took the picture (or --elevation)."""
    object_size: float = PRESETS["mini"].object_size
    """Share of the frame that the object's longer side fills."""
    seed: int = 0
    """Of the picture that words become, and of a run that goes on from here."""
    input_settings: Annotated[InputSettings, arg(name="")] = field(default_factory=InputSettings)

    def run(self) -> None:
        """Lift the picture."""
        from diffusion2.pipeline import preview

        refuse_many_processes()
        settings = replace(
            PRESETS["mini"],
            elevation_deg=self.elevation_deg,
            object_size=self.object_size,
            seed=self.seed,
        )
        source = Source(self.input, self.prompt, settings=self.input_settings, mask=self.mask)
        with Terminal() as terminal:
            run = preview(source, self.out, settings, overwrite=self.overwrite, report=terminal)
        print(f"open {run.viewer_path} in a browser: turn it with the mouse")


@dataclass(frozen=True)
class Sample(_Run):
    """Stage 1 alone: the input becomes the image matrix; `reconstruct` goes on from it."""

    input: Annotated[Positional[Path | None], arg(metavar="INPUT")] = None
    """A picture, a video, a folder of frames, or a 3D model; docs/inputs.md has the formats."""

    def run(self) -> None:
        """Run stage 1."""
        from diffusion2.pipeline import sample

        self._make(sample, self.input)


@dataclass(frozen=True)
class Reconstruct:
    """Stage 2 alone: matrix/ and cameras.json of a folder, or a capture, become the asset.

    A capture is pictures with the cameras of nerfstudio, D-NeRF or COLMAP; docs/inputs.md.

    A run's own settings are the defaults of the options below.
    """

    folder: Positional[Path]
    """A run's folder, or a capture's."""
    overwrite: bool = False
    """Replace the asset that is in the folder."""
    seed: int = 0
    """Seed of all that is drawn."""
    reconstruction: Annotated[ReconstructionSettings, arg(name="")] = field(
        default_factory=ReconstructionSettings
    )

    def run(self) -> None:
        """Run stage 2."""
        from diffusion2.pipeline import reconstruct

        refuse_many_processes()
        with Terminal() as terminal:
            reconstruct(
                self.folder, self.reconstruction, seed=self.seed, overwrite=self.overwrite, report=terminal
            )
