"""Weights with which the two priors' estimates are composed (eq. 5).

The weight is that of the **multi-view** prior, as in Algorithm 1 and the released code; eq. 5 prints it
on the other one.
"""

import math

import torch
from torch import Tensor

from diffusion2.config import SamplingSettings


def multiview_weights(settings: SamplingSettings, views: int) -> Tensor:
    """Compute the multi-view prior's weight for each step and view.

    Args:
        settings: the weight at the first step, at the last, the form of the way between them, and whether
            it depends on the view.
        views: V.

    Returns:
        (steps, V) float32
    """
    first = settings.multiview_weight
    last = first if settings.last_multiview_weight is None else settings.last_multiview_weight
    passed = _passed(settings.steps, settings.weight_schedule)
    weights = (first + (last - first) * passed)[:, None].expand(-1, views)
    if settings.view_factor:
        factor = view_factor(views)
        weights = 1 - factor + factor * weights
    return weights.float()


def _passed(steps: int, form: str) -> Tensor:
    """Compute how far each step is on the way from the first weight (0) to the last (1), (steps,)."""
    time = torch.linspace(0, 1, steps, dtype=torch.float64)
    if form == "linear":
        return time
    if form == "cosine":
        return (1 - torch.cos(math.pi * time)) / 2
    if form == "logistic":
        raw = torch.sigmoid(12 * (time - 0.5))
        return (raw - raw[0]) / (raw[-1] - raw[0]) if steps > 1 else time
    return torch.zeros_like(time)


def view_factor(views: int) -> Tensor:
    """Compute the released code's share of the composition per view, (V,) float64.

    `1 - 0.75·(1 - ½(1 + cos(2π(k + 1)/(V/2))))`: 1 at the reference view and behind the object, 0.25 at its
    sides, where the rest of the weight goes to the multi-view prior.
    """
    angle = 2 * math.pi * torch.arange(1, views + 1, dtype=torch.float64) / (views / 2)
    return 1 - 0.75 * (1 - (1 + torch.cos(angle)) / 2)
