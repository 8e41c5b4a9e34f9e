"""The commands. A field is an option, its docstring is the help, and `run` does the work.

Each `run` imports what it needs when it is called: `--help` must not wait for torch.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from tyro import MISSING
from tyro.conf import Positional, Suppress, arg, subcommand

from diffusion2.config import GenerateSettings, ReconstructionSettings
from diffusion2.errors import InputError
from diffusion2.terminal import Terminal

if TYPE_CHECKING:
    from diffusion2.run_folder import RunFolder

PresetName = Literal["mini", "paper", "released"]


@dataclass(frozen=True)
class Generate:
    """Turn a picture into a moving 3D asset: both stages and all results."""

    input: Positional[Path]
    """A picture (PNG, JPEG, WebP ...) with an alpha channel or a plain background."""
    out: Path
    """Folder of the run, new or empty."""
    preset: PresetName = "mini"
    """Chooses the defaults of all options below."""
    overwrite: bool = False
    """Replace the run that is in the folder, once this one is complete."""
    resume: bool = False
    """Continue the run that is in the folder, with the settings it began with."""
    settings: Annotated[GenerateSettings, arg(name="")] = field(default_factory=GenerateSettings)
    reason: Suppress[str] = ""

    def run(self) -> None:
        """Run both stages."""
        run = self._start(stage1_only=False)
        print(f"open {run.viewer_path} in a browser: turn it with the mouse, scrub the time")

    def _start(self, *, stage1_only: bool) -> "RunFolder":
        from diffusion2.pipeline import generate

        with Terminal() as terminal:
            return generate(
                self.input,
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
    """Stage 1 alone: a picture becomes the image matrix; `reconstruct` goes on from it."""

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


@dataclass(frozen=True)
class Render:
    """Render an asset from any cameras at any times."""

    asset: Positional[Path]
    """asset.safetensors, or a run's folder."""
    out: Path
    """FILE.png for one picture, FILE.mp4 for a video, or a folder for rgb, alpha and depth of each frame."""
    azimuths_deg: tuple[float, ...] = (0.0,)
    """Azimuth of each frame's camera; one counts for all frames."""
    elevations_deg: tuple[float, ...] = (10.0,)
    """Elevation of each frame's camera; one counts for all frames."""
    times: tuple[float, ...] = (0.0,)
    """Time of each frame in [0, 1]; one counts for all frames."""
    orbit: int = 0
    """Instead of azimuths and times: so many frames of one turn while the time runs once."""
    radius: float = 2.0
    """Distance of the cameras from the object's middle."""
    fov_deg: float = 33.8
    """Vertical field of view."""
    width: int = 512
    """Width in pixels."""
    height: int = 512
    """Height in pixels."""
    background: float = 1.0
    """Grey of the background, 0 black to 1 white."""
    fps: float = 12.0
    """Frames per second of a video."""

    def run(self) -> None:
        """Render and write."""
        from diffusion2.pipeline import load_asset
        from diffusion2.render_files import camera_path, render_to_files

        azimuths, times = self.azimuths_deg, self.times
        if self.orbit > 0:
            azimuths = tuple(360.0 * k / self.orbit for k in range(self.orbit))
            times = tuple(k / max(self.orbit - 1, 1) for k in range(self.orbit))
        cameras, times = camera_path(
            azimuths,
            self.elevations_deg,
            times,
            radius=self.radius,
            fov_deg=self.fov_deg,
            height=self.height,
            width=self.width,
        )
        asset = load_asset(self.asset)
        written = render_to_files(asset, cameras, times, self.out, background=self.background, fps=self.fps)
        print(f"wrote {written}")


@dataclass(frozen=True)
class Export:
    """Write an asset for other programs: .mp4 (the camera turns) or .html (plays offline)."""

    asset: Positional[Path]
    """asset.safetensors, or a run's folder."""
    out: Positional[Path]
    """The file; its suffix says what it becomes."""

    def run(self) -> None:
        """Load and export."""
        from diffusion2.pipeline import export, load_asset

        print(f"wrote {export(load_asset(self.asset), self.out)}")


@dataclass(frozen=True)
class View:
    """Show an asset in the browser, live, on this machine only; Ctrl-C ends it."""

    asset: Positional[Path]
    """asset.safetensors, or a run's folder."""
    port: int = 8080
    """Where to listen on 127.0.0.1; the next free port if it is taken."""
    browser: bool = False
    """Open the page in the browser."""

    def run(self) -> None:
        """Serve until interrupted."""
        from diffusion2.pipeline import load_asset
        from diffusion2.viewer import serve

        if not 0 <= self.port <= 65535:
            raise InputError(f"a port lies between 0 and 65535, not {self.port}")
        serve(
            load_asset(self.asset),
            self.port,
            open_browser=self.browser,
            on_ready=lambda url: print(f"open {url} (Ctrl-C ends)", flush=True),
        )


@dataclass(frozen=True)
class Weights:
    """Show which weights are here and which are missing."""

    action: Positional[Literal["list"]] = "list"
    """list: name, size, licence and place."""

    def run(self) -> None:
        """Print the table."""
        from diffusion2.doctor import weights_lines

        print("\n".join(weights_lines()))


@dataclass(frozen=True)
class Train:
    """Train a part of the mini pair on rendered 3D models, or go on with it; Ctrl-C saves and stops."""

    part: Positional[Literal["vae", "video", "multiview", "pack"]]
    """What to train: first vae, then video, then multiview; pack writes the weights that runs load."""
    assets: Path = Path("assets")
    """Folder of glTF models with a table PROVENANCE.tsv (columns split, kind, file)."""
    cache: Path = Path("~/.cache/diffusion2/mini")
    """Where rendered sets, latents and checkpoints are kept."""
    out: Path = Path("mini_weights")
    """Folder that pack writes to."""
    minutes: float = 60.0
    """How long to train."""
    evaluate_minutes: float = 10.0
    """Time between two measurements on held-out models, which go to PART.log.jsonl in the cache."""
    anneal_minutes: float = 0.0
    """Let the step size fall to zero over so many last minutes."""
    threads: int = 1
    """Threads of this process."""

    def run(self) -> None:
        """Train or pack."""
        from diffusion2.training.loop import LoopSettings
        from diffusion2.training.mini import TrainSettings, pack, train

        cache = self.cache.expanduser()
        if self.part == "pack":
            steps = pack(cache, self.out)
            print(f"wrote {self.out} ({', '.join(f'{part}: {n} steps' for part, n in steps.items())})")
            return
        if not (self.assets / "PROVENANCE.tsv").is_file():
            raise InputError(
                f"there is no {self.assets / 'PROVENANCE.tsv'}: give a folder of models with --assets"
            )
        if self.minutes <= 0 or self.threads < 1:
            raise InputError("minutes must be positive and threads at least 1")
        loop = LoopSettings(self.minutes, self.evaluate_minutes, self.anneal_minutes)
        with Terminal() as terminal:
            checkpoint = train(TrainSettings(self.part, self.assets, cache, loop, self.threads), terminal)
        print(f"wrote {checkpoint}")


@dataclass(frozen=True)
class Doctor:
    """Show what this machine has and what will run on it."""

    def run(self) -> None:
        """Print the report."""
        from diffusion2.doctor import machine_lines

        print("\n".join(machine_lines()))


def command_types(preset: str, reason: str, settings: GenerateSettings) -> Any:
    """Give the union of all commands, with a run's options at the defaults of its preset."""
    begin: Any = {"preset": preset, "settings": settings, "reason": reason}
    generate = Generate(input=MISSING, out=MISSING, **begin)
    sample = Sample(input=MISSING, out=MISSING, **begin)
    reconstruct = Reconstruct(folder=MISSING, seed=settings.seed, reconstruction=settings.reconstruction)
    return Union[  # noqa: UP007 (members are made at run time)
        Annotated[Generate, subcommand("generate", default=generate)],
        Annotated[Sample, subcommand("sample", default=sample)],
        Annotated[Reconstruct, subcommand("reconstruct", default=reconstruct)],
        Annotated[Render, subcommand("render")],
        Annotated[Export, subcommand("export")],
        Annotated[View, subcommand("view")],
        Annotated[Weights, subcommand("weights")],
        Annotated[Train, subcommand("train")],
        Annotated[Doctor, subcommand("doctor")],
    ]
