"""Which cells of the matrix a step looks at."""

from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion2.config import ReconstructionSettings
from diffusion2.reconstruction.targets import Targets


@dataclass(frozen=True)
class Cells:
    """The cells of the matrix that one step looks at: B pictures at T times.

    Attributes:
        views: (B,) rows.
        frames: (T,) columns, each once.
        of_picture: (B,) which of the frames each picture shows.
    """

    views: Tensor
    frames: Tensor
    of_picture: Tensor


def draw_static(targets: Targets, settings: ReconstructionSettings, generator: torch.Generator) -> Cells:
    """Draw some views at the reference time."""
    frame = targets.reference_frame
    views = _draw(targets.shown[:, frame], settings.times_per_step * settings.views_per_step, generator)
    return Cells(views, torch.tensor([frame]), torch.zeros_like(views))


def draw_moving(targets: Targets, settings: ReconstructionSettings, generator: torch.Generator) -> Cells:
    """Draw some frames, and for each of them some views, the reference view often.

    Where generated views disagree about the motion, the disagreement averages out to no motion at all; the
    reference view is the one that is right by definition.
    """
    frames = _draw(targets.shown.any(0), settings.times_per_step, generator)
    from_reference = torch.rand(len(frames), generator=generator) < settings.reference_share
    reference, rows, of_picture = targets.reference_view, [], []
    for k, frame in enumerate(frames.tolist()):
        views = _draw(targets.shown[:, frame], settings.views_per_step, generator)
        if from_reference[k] and targets.shown[reference, frame] and not bool((views == reference).any()):
            views[0] = reference
        rows.append(views)
        of_picture.append(torch.full_like(views, k))
    return Cells(torch.cat(rows), frames, torch.cat(of_picture))


def _draw(candidates: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw up to that many of the places where a mask (K,) is true."""
    places = candidates.nonzero()[:, 0]
    return places[torch.randperm(len(places), generator=generator)[:count]]
