"""What the mini pair's lifter makes of a run's picture."""

from typing import TYPE_CHECKING

from diffusion2.config import GenerateSettings
from diffusion2.errors import InputError
from diffusion2.gaussians import Gaussians
from diffusion2.runs.condition_files import read_recorded_conditions
from diffusion2.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from torch import Tensor

    from diffusion2.priors.lifter import Lifter


def load_lifter() -> "Lifter":
    """Load the lifter.

    Raises:
        WeightsError: the mini pair's weights are missing.
    """
    from diffusion2.priors import mini  # late: its libraries take seconds

    return mini.load_lifter()


def lift(lifter: "Lifter", picture: "Tensor", elevation_deg: float) -> Gaussians:
    """Lift a picture (P, H, W), RGB on white and, where it is known, alpha, of a camera at azimuth 0.

    Raises:
        InputError: it shows nothing.
    """
    from diffusion2.priors.lifting import lift_pictures

    (gaussians,) = lift_pictures(lifter, picture[None], elevation_deg)
    if gaussians is None:
        raise InputError("there is nothing to lift: the picture's alpha is empty")
    return gaussians


def lift_reference(run: RunFolder, settings: GenerateSettings) -> Gaussians | None:
    """Lift a run's picture for stage 2; None where that is not wanted, or better is known.

    Raises:
        WeightsError: the mini pair's weights are missing.
    """
    if settings.reconstruction.start != "lifter":
        return None
    conditions = read_recorded_conditions(run, settings)
    if conditions is None or conditions.views is not None:
        return None
    return lift(load_lifter(), conditions.picture, settings.elevation_deg)
