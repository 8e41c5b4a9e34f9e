"""Commands that make a run: both stages, or one of them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, Suppress, arg

from diffusion2.config import GenerateSettings, ReconstructionSettings
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
