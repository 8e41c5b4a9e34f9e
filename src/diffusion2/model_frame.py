"""Where a given 3D model stands in the world of its run, so that results can go back to the model's place."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from diffusion2.errors import AssetFormatError


@dataclass(frozen=True)
class ModelFrame:
    """World from model: `(axes @ point - center) * scale`.

    Attributes:
        axes: (3, 3) rotation from the model file's axes to the world's.
        center: (3,) what becomes the world's origin, in world axes but the model's units.
        scale: world units per unit of the model.
    """

    axes: np.ndarray
    center: np.ndarray
    scale: float

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Move (P, 3) points of the model's file into the world."""
        return (points @ self.axes.T - self.center) * self.scale

    def to_model(self, points: np.ndarray) -> np.ndarray:
        """Move (P, 3) points of the world to where they are in the model's file."""
        return (points / self.scale + self.center) @ self.axes

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {"axes": self.axes.tolist(), "center": self.center.tolist(), "scale": float(self.scale)}

    @staticmethod
    def from_dict(values: Any) -> "ModelFrame":
        """Read what `to_dict` gave.

        Raises:
            AssetFormatError: it is not that.
        """
        try:
            frame = ModelFrame(
                np.array(values["axes"], dtype=np.float64),
                np.array(values["center"], dtype=np.float64),
                float(values["scale"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise AssetFormatError(f"this is no place of a model: {values!r}") from error
        if frame.axes.shape != (3, 3) or frame.center.shape != (3,) or not frame.scale > 0:
            raise AssetFormatError(f"this is no place of a model: {values!r}")
        return frame


def turn(azimuth_deg: float) -> np.ndarray:
    """Give the (3, 3) rotation about the world's vertical that brings an azimuth to azimuth 0."""
    angle = -np.deg2rad(azimuth_deg)
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
