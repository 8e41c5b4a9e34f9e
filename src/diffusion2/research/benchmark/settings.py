"""What a benchmark compares, and the truth that it compares with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from diffusion2.config import PRESETS, Between, GenerateSettings, Settings, check_known
from diffusion2.errors import InputError
from diffusion2.image_matrix import ImageMatrix
from diffusion2.meshes.creatures import CREATURES, Creature, creature_truth
from diffusion2.metrics.networks import NetworkName
from diffusion2.research.benchmark.cells import TRUTH, Unit
from diffusion2.research.benchmark.methods import BASELINES, check_methods
from diffusion2.research.benchmark.tasks import BenchmarkTask


@dataclass(frozen=True)
class BenchmarkSettings(Settings):
    """What is compared, on what, and how it is measured.

    Attributes:
        tasks: names in `TASKS`.
        methods: names in `METHODS`; the baselines stand beside them anyhow.
        creatures: their names; none for all.
        seeds: of all noise.
        networks: which networks measure, of `metrics.networks.NETWORKS`; what needs none is always measured.
        generate: settings of all methods before their variations.
    """

    tasks: tuple[BenchmarkTask, ...] = ("completion",)
    methods: tuple[str, ...] = ("preset", "multiview", "video")
    creatures: tuple[str, ...] = ()
    seeds: tuple[Annotated[int, Between(0, 2**63 - 1)], ...] = (0,)
    networks: tuple[NetworkName, ...] = ("lpips_alex", "i3d")
    generate: GenerateSettings = PRESETS["mini"]

    def check_together(self) -> None:
        """Refuse methods and creatures that are not in their tables, and what is missing or named twice."""
        check_methods(self.methods)
        creatures = [creature.name for creature in CREATURES]
        check_known("creature", self.creatures, creatures)
        for what, chosen in (
            ("task", self.tasks),
            ("method", self.methods),
            ("creature", self.creatures),
            ("seed", self.seeds),
        ):
            if len(set(chosen)) < len(chosen):
                raise InputError(f"a {what} is named twice: {' '.join(map(str, chosen))}")
        if not self.tasks or not self.seeds:
            raise InputError("name at least one task and one seed")

    @property
    def chosen(self) -> list[Creature]:
        """The creatures that are compared on."""
        return [c for c in CREATURES if not self.creatures or c.name in self.creatures]

    @property
    def sampled(self) -> tuple[str, ...]:
        """The methods that are not baselines."""
        return tuple(name for name in self.methods if name not in BASELINES)

    def units(self) -> list[Unit]:
        """List all that is to be done, longest first."""
        names = [creature.name for creature in self.chosen]
        units = [Unit(task, name, seed) for seed in self.seeds for task in self.tasks for name in names]
        return (units if self.sampled else []) + [Unit(TRUTH, name) for name in names]


@dataclass(frozen=True)
class Truths:
    """The creatures' true matrices, rendered once and kept in the benchmark's folder."""

    assets: Path
    out: Path
    generate: GenerateSettings

    def __call__(self, name: str) -> ImageMatrix:
        """Return a creature's true matrix."""
        creature = next(c for c in CREATURES if c.name == name)
        generate = self.generate
        return creature_truth(
            creature,
            self.assets,
            self.out / "truth",
            views=generate.views,
            frames=generate.frames,
            size=generate.size,
            elevation_deg=generate.elevation_deg,
            object_size=generate.object_size,
        )
