"""Commands that compare methods with ground truth: the benchmark and the paper's ablation."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from diffusion2.commands.terminal import Terminal
from diffusion2.config import PRESETS, ReconstructionSettings, SamplingSettings
from diffusion2.errors import InputError
from diffusion2.metrics.networks import NetworkName
from diffusion2.research.benchmark.tasks import BenchmarkTask

if TYPE_CHECKING:
    from diffusion2.research.benchmark.settings import BenchmarkSettings

_MINI = PRESETS["mini"]


@dataclass(frozen=True)
class _Compared:
    """What both commands have: on what, with which settings, and where to."""

    assets: Path = Path("assets")
    """Folder with the creatures' models."""
    out: Path = Path("benchmark")
    """Folder of the results; finished ones in it are used again."""
    creatures: tuple[str, ...] = ()
    """Names of the creatures; none: all eight."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of all noise; tables give mean and standard deviation over them."""
    metrics: tuple[NetworkName, ...] = ("lpips_alex", "i3d")
    """Networks that measure. What needs none is always measured."""
    processes: int = 0
    """How many work side by side, each on its share of the cores; 0: one per core."""
    page: Path | None = None
    """A Markdown page to write tables into, between its markers."""
    sampling: SamplingSettings = _MINI.sampling
    reconstruction: ReconstructionSettings = _MINI.reconstruction

    def _settings(self, tasks: tuple[BenchmarkTask, ...], methods: tuple[str, ...]) -> "BenchmarkSettings":
        """Return the benchmark's settings; refuse what would fail late."""
        from diffusion2.research.benchmark.settings import BenchmarkSettings

        if self.processes < 0:
            raise InputError(f"processes must be 0 or more, not {self.processes}")
        if not self.assets.is_dir():
            raise InputError(f"there is no folder {self.assets}: give the creatures' models with --assets")
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"the output {self.out} is a file: give a folder")
        return BenchmarkSettings(
            tasks=tasks,
            methods=methods,
            creatures=self.creatures,
            seeds=self.seeds,
            networks=self.metrics,
            generate=replace(_MINI, sampling=self.sampling, reconstruction=self.reconstruction),
        )


@dataclass(frozen=True)
class Benchmark(_Compared):
    """Measure methods on eight animated creatures against ground truth; called again, it goes on."""

    tasks: tuple[BenchmarkTask, ...] = ("completion",)
    """What is given: image (the true picture), video (the true row), completion (true row and column)."""
    methods: tuple[str, ...] = ("preset", "multiview", "video")
    """What is compared; the static baseline and the autoencoder's ceiling stand beside them anyhow."""
    reconstruct: bool = False
    """Add the preset's result after reconstruction, rendered from the same cameras."""

    def run(self) -> None:
        """Measure, and write tables, scores and pictures."""
        from diffusion2.research.benchmark.write import write_benchmark

        extra = ("preset-asset",) if self.reconstruct and "preset-asset" not in self.methods else ()
        settings = self._settings(self.tasks, (*self.methods, *extra))
        with Terminal() as terminal:
            text = write_benchmark(
                self.assets, self.out, settings, processes=self.processes, page=self.page, report=terminal
            )
        print(text)


@dataclass(frozen=True)
class Ablate(_Compared):
    """Repeat the paper's ablation: its table 3, its figures 5, 6 and 10, its theorem in numbers."""

    part: Positional[Literal["table", "figures", "theorem"]] = field(kw_only=True)
    """table: rows (a) to (g). figures: of the first creature and seed. theorem: needs no models."""
    task: BenchmarkTask = "video"
    """What is given; the paper's table is of video-to-4D."""
    sampling: SamplingSettings = replace(_MINI.sampling, guess_sigma=None)
    """It begins with noise, as in the paper: a guess leaves out the steps in which VRS acts."""

    def run(self) -> None:
        """Measure or draw, and write."""
        with Terminal() as terminal:
            if self.part == "theorem":
                from diffusion2.research.theorem.write import write_theorem

                write_theorem(self.out, terminal)
                return
            from diffusion2.research.benchmark import ablation

            settings = self._settings((self.task,), ablation.METHODS_OF_TABLE)
            if self.part == "figures":
                ablation.write_ablation_figures(
                    self.assets, self.out, settings, page=self.page, report=terminal
                )
                return
            text = ablation.write_table(
                self.assets, self.out, settings, processes=self.processes, page=self.page, report=terminal
            )
        print(text)
