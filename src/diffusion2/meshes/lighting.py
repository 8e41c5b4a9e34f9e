"""The light that models are drawn in."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lighting:
    """A soft sky and one directional light.

    Attributes:
        azimuth_deg: where the light comes from, as for cameras.
        elevation_deg: its height.
        ambient: share of the sky's light, in [0, 1].
    """

    azimuth_deg: float = 30.0
    elevation_deg: float = 50.0
    ambient: float = 0.65

    @property
    def direction(self) -> tuple[float, float, float]:
        """Return the unit vector towards the light."""
        azimuth, elevation = np.deg2rad(self.azimuth_deg), np.deg2rad(self.elevation_deg)
        return (
            float(np.cos(elevation) * np.cos(azimuth)),
            float(np.cos(elevation) * np.sin(azimuth)),
            float(np.sin(elevation)),
        )
