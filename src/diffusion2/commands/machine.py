"""Commands about this machine: what is here and what will run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from diffusion2.errors import InputError


@dataclass(frozen=True)
class Weights:
    """Show which weights are here and which are missing; fetch them; check them. See docs/weights.md."""

    action: Positional[Literal["list", "fetch", "check"]] = "list"
    """list: name, size, hash, licence and place. fetch: get the full-size pair from the hub, from where an
    interrupted call left off. check: names and shapes of all parameters, and hashes."""
    names: Positional[tuple[str, ...]] = ()
    """mini, svd, sv3d, or for check a file or folder; none: all (fetch: those that are missing)."""
    weights: Path | None = None
    """Folder of full-size weights, to look in, or to put what is fetched into. None: what the environment
    names, and the hub's own cache."""

    def run(self) -> None:
        """Do it."""
        if self.action == "fetch":
            self._fetch()
        elif self.action == "check":
            self._check()
        else:
            from diffusion2.commands.doctor import weights_lines

            print("\n".join(weights_lines(self.weights, with_files=True)))

    def _fetch(self) -> None:
        from diffusion2.weights.catalogue import FULL_SIZE, find_full_size
        from diffusion2.weights.hub import fetch

        models = {model.name: model for model in FULL_SIZE}
        unknown = [name for name in self.names if name not in models]
        if unknown:
            raise InputError(
                f"only svd and sv3d are fetched, not {unknown[0]}; the mini pair is in the package"
            )
        wanted = self.names or [name for name in models if not find_full_size(models[name], self.weights)]
        for name in wanted:
            print(f"{name}: {fetch(models[name], self.weights)}")
        if not wanted:
            print("the full-size pair is here already: diffusion2 weights list")

    def _check(self) -> None:
        from diffusion2.priors.check import check_weights
        from diffusion2.weights.catalogue import FULL_SIZE, find_full_size

        here = [model.name for model in FULL_SIZE if find_full_size(model, self.weights)]
        for name in self.names or ("mini", *here):
            for line in check_weights(name, self.weights):
                print(line)


@dataclass(frozen=True)
class Doctor:
    """Show what this machine has and what will run on it."""

    def run(self) -> None:
        """Print the report."""
        from diffusion2.commands.doctor import machine_lines

        print("\n".join(machine_lines()))
