"""All scores of a result against a reference: in all, and view by view."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from diffusion2.errors import Diffusion2Error, InputError
from diffusion2.evaluation.pixels import WINDOW, psnr, ssim
from diffusion2.events import Report, ignore, stage
from diffusion2.image_matrix import ImageMatrix
from diffusion2.reconstruction.masks import estimate_alphas

HIGHER_IS_BETTER = {
    "psnr": True,
    "psnr_foreground": True,
    "ssim": True,
    "ssim_foreground": True,
    "lpips_alex": False,
    "lpips_vgg": False,
    "clip": True,
    "fvd": False,
    "motion_ratio": None,
    "temporal_error": False,
    "multiview_consistency": True,
}
"""The scores, in the order of the table. A motion ratio of 1 is best, so neither direction is."""

NETWORKS = ("lpips_alex", "lpips_vgg", "clip", "i3d")
PIXELS_AT_ONCE = 1 << 20
SAME_AZIMUTH_DEG = 1.0


@dataclass(frozen=True)
class Score:
    """One number of an evaluation.

    Attributes:
        name: one of `HIGHER_IS_BETTER`.
        value: finite; None where there is none, and then the note says why.
        higher_is_better: None where a certain value is best.
        note: what must be known to read the value.
    """

    name: str
    value: float | None
    higher_is_better: bool | None
    note: str = ""


@dataclass(frozen=True)
class Evaluation:
    """All scores of one result.

    Attributes:
        overall: every score by name.
        per_view: the same for each view that was measured.
        settings: what was compared, as plain JSON values.
    """

    overall: dict[str, Score]
    per_view: list[dict[str, Score]]
    settings: dict[str, Any] = field(default_factory=dict)


Distance = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Networks:
    """The networks that could be loaded, and why the others could not.

    Attributes:
        loaded: by a name in `NETWORKS`.
        missing: the reason in one line, for every other name.
    """

    loaded: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def why_not(self, name: str) -> str:
        """Say why a network isn't there."""
        return self.missing.get(name, "not asked for")


def measure(
    result: ImageMatrix,
    reference: ImageMatrix,
    networks: Networks,
    *,
    views: Sequence[int] | None = None,
    report: Report = ignore,
) -> Evaluation:
    """Compare a result with a reference of the same views, frames and size.

    Args:
        result: V x F pictures.
        reference: V x F pictures of the same cameras and times.
        networks: from `load_networks`; a score whose network is missing has no value and says why.
        views: which rows count; None for all.
        report: takes the events of the work.

    Raises:
        InputError: the two differ in views, frames, size or azimuths, or a view is not there.
    """
    _check_pair(result, reference)
    chosen = list(range(reference.views)) if views is None else list(views)
    if not chosen or not all(0 <= view < reference.views for view in chosen):
        raise InputError(f"there are views 0 to {reference.views - 1}, but {chosen} are to be measured")
    masks = object_masks(reference)
    cells: dict[str, list[Tensor]] = {}
    with stage(report, "evaluation") as progress:
        for done, view in enumerate(chosen):
            progress(done, len(chosen), f"view {view}")
            row = _measure_cells(result.images[view], reference.images[view], masks[view], networks)
            for name, values in row.items():
                cells.setdefault(name, []).append(values)
    overall = {name: _mean(name, torch.cat(rows)) for name, rows in cells.items()}
    per_view = [{name: _mean(name, rows[k]) for name, rows in cells.items()} for k in range(len(chosen))]
    everything = [_complete(scores, networks) for scores in (overall, *per_view)]
    settings = {
        "views": chosen,
        "azimuths_deg": [float(reference.cameras.azimuths_deg[view]) for view in chosen],
        "frames": reference.frames,
        "height": reference.images.shape[-2],
        "width": reference.images.shape[-1],
        "mask": "the reference's alpha"
        if reference.alphas is not None
        else "the reference's pixels on white",
    }
    return Evaluation(everything[0], everything[1:], settings)


def object_masks(matrix: ImageMatrix) -> Tensor:
    """Give where the object is, (V, F, 1, H, W), 0 or 1: alpha above a half, or estimated from white."""
    if matrix.alphas is not None:
        return (matrix.alphas > 0.5).float()
    return torch.stack([estimate_alphas(row)[0] for row in matrix.images])


def _check_pair(result: ImageMatrix, reference: ImageMatrix) -> None:
    for what, ours, theirs in (
        ("views", result.views, reference.views),
        ("frames", result.frames, reference.frames),
        ("height", result.images.shape[-2], reference.images.shape[-2]),
        ("width", result.images.shape[-1], reference.images.shape[-1]),
    ):
        if ours != theirs:
            raise InputError(f"the result has {what} {ours} and the reference {theirs}: they must be equal")
    apart = torch.as_tensor(result.cameras.azimuths_deg - reference.cameras.azimuths_deg)
    apart = ((apart + 180) % 360 - 180).abs()
    if bool((apart > SAME_AZIMUTH_DEG).any()):
        view = int(apart.argmax())
        raise InputError(
            f"view {view} stands at azimuth {result.cameras.azimuths_deg[view]:g} deg in the result "
            f"and at {reference.cameras.azimuths_deg[view]:g} deg in the reference"
        )


def _measure_cells(
    images: Tensor, references: Tensor, masks: Tensor, networks: Networks
) -> dict[str, Tensor]:
    """Give the scores (F,) that each picture of a row has by itself; NaN where one has none."""
    scores = {
        "psnr": psnr(images, references),
        "psnr_foreground": psnr(images, references, masks),
    }
    if min(images.shape[-2:]) >= WINDOW:
        scores["ssim"] = ssim(images, references)
        scores["ssim_foreground"] = ssim(images, references, masks)
    for name in ("lpips_alex", "lpips_vgg", "clip"):
        if (network := networks.loaded.get(name)) is not None:
            distance = network.similarity if name == "clip" else network
            scores[name] = _in_parts(distance, images, references)
    return scores


def _in_parts(distance: Distance, images: Tensor, references: Tensor) -> Tensor:
    """Call a network with so few pictures at once that memory stays small."""
    size = max(1, PIXELS_AT_ONCE // (images.shape[-1] * images.shape[-2]))
    with torch.no_grad():
        return torch.cat(
            [distance(a, b) for a, b in zip(images.split(size), references.split(size), strict=True)]
        )


def _mean(name: str, values: Tensor) -> Score:
    """Average the pictures' scores, without those that have none."""
    good = values[values.isfinite()]
    note = "" if len(good) == len(values) else f"{len(values) - len(good)} of {len(values)} pictures left out"
    if not len(good):
        return Score(name, None, HIGHER_IS_BETTER[name], "no object in the reference")
    return Score(name, float(good.double().mean()), HIGHER_IS_BETTER[name], note)


def _complete(scores: dict[str, Score], networks: Networks) -> dict[str, Score]:
    """Order the scores, and put in those that have no value, with the reason."""
    complete = {}
    for name, better in HIGHER_IS_BETTER.items():
        network = "i3d" if name == "fvd" else name
        reason = networks.why_not(network) if network in NETWORKS else ""
        complete[name] = scores.get(name) or Score(name, None, better, reason)
    return complete


def load_networks(want: set[str] | None = None, *, clip: str | None = None) -> Networks:
    """Load the networks that are wanted; one that is missing is named with the reason, never an error.

    Args:
        want: names in `NETWORKS`; None for all.
        clip: folder or hub name of the CLIP model; None for where it is usually kept.

    Raises:
        InputError: an unknown name is wanted.
    """
    wanted = set(NETWORKS) if want is None else want
    if unknown := sorted(wanted - set(NETWORKS)):
        raise InputError(f"there is no network {unknown[0]}: choose from {', '.join(NETWORKS)}")
    networks = Networks()
    for name in NETWORKS:
        if name not in wanted:
            continue
        try:
            networks = replace(networks, loaded={**networks.loaded, name: _load(name, clip)})
        except (Diffusion2Error, ImportError) as error:
            networks = replace(networks, missing={**networks.missing, name: str(error)})
    return networks


def _load(name: str, clip: str | None) -> Any:
    if name == "clip":
        from diffusion2.evaluation.clip import load_clip

        return load_clip(clip)
    if name == "i3d":
        from diffusion2.evaluation.i3d import load_i3d

        return load_i3d()
    from diffusion2.evaluation.lpips import load_lpips

    return load_lpips("vgg" if name == "lpips_vgg" else "alex")
