"""The command that trains the mini pair."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from diffusion2.commands.terminal import Terminal
from diffusion2.errors import InputError


@dataclass(frozen=True)
class Train:
    """Train a part of the mini pair on drawings of 3D objects, or go on with it; Ctrl-C saves and stops."""

    part: Positional[Literal["vae", "video", "multiview", "lifter", "pack", "unpack"]]
    """What to train: vae and lifter need no other part, video needs vae, multiview needs both. pack writes
    the weights that runs load; unpack makes checkpoints of the package's, to go on from them."""
    assets: Path | None = None
    """Folder of glTF models with a table PROVENANCE.tsv (columns split, kind, file); without it, the pair
    learns from procedural creatures alone, and nothing is measured."""
    procedural_share: float = 0.3
    """Share of what is drawn that is of procedural creatures, where there are models, too."""
    cache: Path = Path("~/.cache/diffusion2/mini")
    """Where checkpoints are kept, and the held-out creatures."""
    out: Path = Path("mini_weights")
    """Folder that pack writes to."""
    minutes: float = 60.0
    """How long to train."""
    evaluate_minutes: float = 10.0
    """Time between two entries of PART.log.jsonl in the cache, which measure on held-out models, if there are
    any."""
    anneal_minutes: float = 0.0
    """Let the step size fall to zero over so many last minutes."""
    rate: float = 1.0
    """Factor of the step size."""
    threads: int = 1
    """Threads of this process."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the video and the multi-view network are trained."""
    batch: int = 4
    """Sequences, or scenes of the lifter, that one step learns from, in each process of `torchrun`, if that
    started some."""

    def run(self) -> None:
        """Train or pack."""
        from diffusion2.training.loop import LoopSettings
        from diffusion2.training.mini import TrainSettings, pack, train, unpack
        from diffusion2.weights.catalogue import mini_folder

        cache = self.cache.expanduser()
        if self.part in ("pack", "unpack"):
            out = self.out if self.part == "pack" else cache
            steps = pack(cache, out) if self.part == "pack" else unpack(mini_folder(), cache)
            print(f"wrote {out} ({', '.join(f'{part}: {n} steps' for part, n in steps.items())})")
            return
        if self.assets is not None and not (self.assets / "PROVENANCE.tsv").is_file():
            raise InputError(
                f"there is no {self.assets / 'PROVENANCE.tsv'}: give a folder of models with --assets, or "
                "leave it out to train on procedural creatures"
            )
        settings = TrainSettings(
            self.part,
            self.assets,
            cache,
            LoopSettings(self.minutes, self.evaluate_minutes, self.anneal_minutes, self.rate),
            threads=self.threads,
            device=self.device,
            batch=self.batch,
            procedural_share=self.procedural_share,
        )
        with Terminal() as terminal:
            checkpoint = train(settings, terminal)
        if os.environ.get("RANK", "0") == "0":
            print(f"wrote {checkpoint}")
