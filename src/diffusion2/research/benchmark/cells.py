"""What a benchmark keeps: one folder per result, in the layout of a run, with what decides it and its scores.

    OUT/cells/TASK/CREATURE/seed_0/METHOD/matrix/, cameras.json      the result
                                          asset.safetensors          of a reconstructed one
                                          cell.json                  hash of all that decided it
                                          scores.json, logits.npy    its scores, and I3D's logits of its rows
    OUT/cells/TASK/CREATURE/seed_0/references/                       what the task did not give
    OUT/cells/truth/CREATURE/METHOD/                                 what no task and no seed changes

A result or a score is used again as long as the hash of everything that decides it is the same.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusion2.atomic_files import atomic_path, remove, write_json
from diffusion2.evaluation.measure import Score
from diffusion2.gaussians import Asset4D
from diffusion2.image_matrix import Conditions, ImageMatrix
from diffusion2.pictures import with_alpha
from diffusion2.runs.matrix_files import (
    cameras_to_dict,
    read_matrix,
    read_pictures,
    write_matrix,
    write_pictures,
)

TRUTH = "truth"
"""Stands for the task of methods that none changes, and names the truth's own logits."""


@dataclass(frozen=True)
class Unit:
    """What is worked on at once: one creature, one task, one seed.

    Attributes:
        task: a task, or `TRUTH`.
        creature: its name.
        seed: of all noise; 0 for `TRUTH`.
    """

    task: str
    creature: str
    seed: int = 0

    def folder(self, out: Path) -> Path:
        """Return where its results are."""
        folder = out / "cells" / self.task / self.creature
        return folder if self.task == TRUTH else folder / f"seed_{self.seed}"

    def __str__(self) -> str:
        """Say it in a line of progress."""
        return f"{self.creature}, {self.task}" + (f", seed {self.seed}" if self.task != TRUTH else "")


@dataclass(frozen=True)
class CellScores:
    """The scores of one result.

    Attributes:
        overall: by name.
        per_view: the same for each view.
        logits: (V - 1, 400), I3D's logits of its rows, where they were wanted and could be had.
        failed: why there is no result; else empty.
    """

    overall: dict[str, Score]
    per_view: list[dict[str, Score]]
    logits: Tensor | None = None
    failed: str = ""


def digest(*parts: object) -> str:
    """Hash plain values, dataclasses and tensors."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            sha.update(part.detach().contiguous().numpy().tobytes())
        else:
            sha.update(json.dumps(part, sort_keys=True, default=_plain).encode())
    return sha.hexdigest()


def matrix_digest(matrix: ImageMatrix) -> str:
    """Hash a matrix with its cameras."""
    alphas = [] if matrix.alphas is None else [matrix.alphas]
    return digest(matrix.images, *alphas, cameras_to_dict(matrix))


def keep_matrix(
    folder: Path, key: str, make: Callable[[], tuple[ImageMatrix, Asset4D | None]], about: dict[str, Any]
) -> ImageMatrix:
    """Return the result that a folder keeps; make it where it is missing or was decided by something else.

    Either way it is what the files hold: 8 bits. `cell.json` says how long making it took.

    Args:
        folder: of the result.
        key: hash of everything that decides it.
        make: makes it, with the asset where there is one.
        about: plain values for a reader of `cell.json`.
    """
    if _key(folder / "cell.json") != key:
        remove(folder)
        began = time.perf_counter()
        matrix, asset = make()
        seconds = round(time.perf_counter() - began, 2)
        folder.mkdir(parents=True)
        if asset is not None:
            asset.save(folder / "asset.safetensors")
        write_matrix(folder, matrix)
        write_json(folder / "cell.json", {"key": key, "seconds": seconds, **about})
    return read_matrix(folder)


def keep_references(folder: Path, key: str, make: Callable[[], Conditions]) -> Conditions:
    """Return the references that a folder keeps, or make them; see `keep_matrix`."""
    if _key(folder / "cell.json") != key:
        remove(folder)
        made = make()
        assert made.video is not None
        assert made.views is not None
        folder.mkdir(parents=True)
        write_pictures(folder / "picture", made.picture[None], "picture")
        write_pictures(folder / "video", made.video, "frame")
        write_pictures(folder / "views", made.views, "view")
        write_json(folder / "cell.json", {"key": key})
    parts = [with_alpha(*read_pictures(folder / name, file)) for name, file in _REFERENCES]
    return Conditions(parts[0][0], parts[1], parts[2])


_REFERENCES = (("picture", "picture"), ("video", "frame"), ("views", "view"))


def keep_scores(folder: Path, key: str, make: Callable[[], CellScores]) -> None:
    """Write the scores of a result into its folder, unless they are there already."""
    if _key(folder / "scores.json") == key:
        return
    scores = make()
    folder.mkdir(parents=True, exist_ok=True)
    if scores.logits is not None:
        keep_logits(folder / "logits.npy", scores.logits)
    content = {
        "key": key,
        "failed": scores.failed,
        "has_logits": scores.logits is not None,
        "overall": [asdict(score) for score in scores.overall.values()],
        "per_view": [[asdict(score) for score in view.values()] for view in scores.per_view],
    }
    write_json(folder / "scores.json", content)


def keep_logits(path: Path, logits: Tensor) -> None:
    """Write logits as a NumPy file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        np.save(temporary, logits.numpy())


def read_logits(path: Path) -> Tensor:
    """Read what `keep_logits` wrote."""
    return torch.from_numpy(np.load(path))


def read_scores(folder: Path) -> CellScores:
    """Read what `keep_scores` wrote."""
    content = json.loads((folder / "scores.json").read_text())
    overall, *per_view = (
        {values["name"]: Score(**values) for values in scores}
        for scores in (content["overall"], *content["per_view"])
    )
    logits = read_logits(folder / "logits.npy") if content["has_logits"] else None
    return CellScores(overall, per_view, logits, content["failed"])


def _key(path: Path) -> str | None:
    """Return the key in a file, None where there is none."""
    try:
        return json.loads(path.read_text())["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _plain(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)
