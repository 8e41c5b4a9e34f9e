"""What an evaluation consists of: the scores, what they mean, and which way is better."""

from dataclasses import dataclass, field
from typing import Any

from diffusion2.metrics.fvd import PAIRS, SETS
from diffusion2.metrics.pixels import PSNR_CAP

HIGHER_IS_BETTER = {
    "psnr": True,
    "psnr_foreground": True,
    "ssim": True,
    "ssim_foreground": True,
    "lpips_alex": False,
    "lpips_vgg": False,
    "clip": True,
    "fvd": False,
    "fvd_paired": False,
    "motion_ratio": None,
    "temporal_error": False,
    "multiview_consistency": True,
}
"""The scores, in the order of the table. A motion ratio of 1 is best, so neither direction is."""

DEFINITIONS = {
    "psnr": f"mean over the pictures of the PSNR over all pixels, dB; equal pictures count as {PSNR_CAP:g}",
    "psnr_foreground": "the same over the pixels of the reference's object",
    "ssim": "mean over the pictures; Gaussian window of 11 x 11, sigma 1.5, where it lies inside the picture",
    "ssim_foreground": "the same, its map averaged over the pixels of the reference's object",
    "lpips_alex": "LPIPS 0.1 with AlexNet, mean over the pictures",
    "lpips_vgg": "LPIPS 0.1 with VGG-16, mean over the pictures",
    "clip": "cosine of the pictures' CLIP embeddings, mean over the pictures",
    "fvd": SETS,
    "fvd_paired": PAIRS,
    "motion_ratio": "mean |frame difference| of the result over the reference's; 1 is right, 0 stands still",
    "temporal_error": "mean |frame difference of the result - the reference's| over the object's pixels",
    "multiview_consistency": "share of each silhouette that the visual hull of all views explains",
}


@dataclass(frozen=True)
class Score:
    """One number of an evaluation.

    Attributes:
        name: one of `HIGHER_IS_BETTER`.
        value: finite; None where there is none, and then the note says why.
        higher_is_better: None where a certain value is best.
        note: what must be known to read the value.
        reference: what the reference itself gets, for a score that needs no reference.
    """

    name: str
    value: float | None
    higher_is_better: bool | None
    note: str = ""
    reference: float | None = None


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
