"""What an asset says about itself: its speed, its reference view, where what was given stands."""

from dataclasses import dataclass, fields
from typing import Annotated, Any

from diffusion2.cameras import (
    DEFAULT_ELEVATION_DEG,
    DEFAULT_FOV_DEG,
    DEFAULT_RADIUS,
    Cameras,
    ModelFrame,
    make_cameras,
)
from diffusion2.config import Between, conform_fields
from diffusion2.errors import AssetFormatError, InputError

_Count = Annotated[int, Between(1, 1_000_000)]


@dataclass(frozen=True)
class AssetMetadata:
    """What is known of an asset beside its Gaussians; what a file leaves out has these defaults.

    Attributes:
        fps: frames per second of the sequence.
        frames: F, the number of frames it was made from.
        views: V, the number of views it was made from; None where that isn't known.
        azimuth_deg: where the reference camera stands.
        elevation_deg: of the reference camera.
        radius: of the reference camera, its distance to the origin in world units.
        fov_deg: of the reference camera, its vertical field of view.
        height: of the pictures it was made from, in pixels; None where that isn't known.
        width: of those pictures.
        model_frame: where a given 3D model, or the world of a capture, stands in ours; None where none was
            given.

    Raises:
        InputError: a value is no number or makes no sense.
    """

    fps: Annotated[float, Between(1e-3, 1e4)] = 8.0
    frames: _Count = 12
    views: _Count | None = None
    azimuth_deg: Annotated[float, Between(-1e4, 1e4)] = 0.0
    elevation_deg: Annotated[float, Between(-90, 90)] = DEFAULT_ELEVATION_DEG
    radius: Annotated[float, Between(1e-3, 1e6)] = DEFAULT_RADIUS
    fov_deg: Annotated[float, Between(0.1, 179)] = DEFAULT_FOV_DEG
    height: _Count | None = None
    width: _Count | None = None
    model_frame: ModelFrame | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense; numbers of NumPy become Python's."""
        conform_fields(self)

    @property
    def duration_s(self) -> float:
        """Seconds from time 0 to time 1; of a single frame, those of one frame."""
        return max(self.frames - 1, 1) / self.fps

    def reference_cameras(self, azimuths_deg: list[float], height: int, width: int) -> Cameras:
        """Make cameras at these azimuths, otherwise like the asset's reference camera."""
        return make_cameras(
            azimuths_deg,
            self.elevation_deg,
            radius=self.radius,
            fov_deg=self.fov_deg,
            height=height,
            width=width,
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON; what isn't known is left out."""
        known = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        if self.model_frame is not None:
            known["model_frame"] = self.model_frame.to_dict()
        return known

    @staticmethod
    def from_dict(values: Any) -> "AssetMetadata":
        """Read what `to_dict` or another program wrote; names that are not known here are passed over.

        Raises:
            AssetFormatError: it is no table, or a value makes no sense.
        """
        if not isinstance(values, dict):
            raise AssetFormatError("its metadata is not a table")
        known = {f.name: values[f.name] for f in fields(AssetMetadata) if f.name in values}
        if known.get("model_frame") is not None:
            known["model_frame"] = ModelFrame.from_dict(known["model_frame"])
        try:
            return AssetMetadata(**known)
        except InputError as error:
            raise AssetFormatError(f"its metadata: {error}") from error
