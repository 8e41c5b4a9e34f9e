"""Cameras and orbits: every camera convention of the project is in this file.

World: z up, the object at the origin. A camera at azimuth 0 deg stands on the +x side; azimuth
grows counter-clockwise seen from above; elevation grows upwards. Cameras are OpenCV (x right,
y down, z forward); `viewmats` are world-to-camera; `Ks` are in pixels with the principal point in
the middle of the picture.
"""

from dataclasses import dataclass, replace

import numpy as np

DEFAULT_RADIUS = 2.0
DEFAULT_FOV_DEG = 33.8
DEFAULT_ELEVATION_DEG = 10.0


@dataclass(frozen=True)
class Cameras:
    """V cameras that look at the origin.

    Attributes:
        azimuths_deg: (V,) float64.
        elevations_deg: (V,) float64.
        radii: (V,) float64, distance to the origin in world units.
        fov_deg: vertical field of view.
        height: picture height in pixels.
        width: picture width in pixels.
    """

    azimuths_deg: np.ndarray
    elevations_deg: np.ndarray
    radii: np.ndarray
    fov_deg: float
    height: int
    width: int

    def __len__(self) -> int:
        """Give the number of cameras."""
        return len(self.azimuths_deg)

    def __getitem__(self, index: int | slice) -> "Cameras":
        """Give one camera (as a `Cameras` of length 1) or a slice of them."""
        if isinstance(index, int):
            index = slice(index, index + 1 if index != -1 else None)
        return Cameras(
            self.azimuths_deg[index],
            self.elevations_deg[index],
            self.radii[index],
            self.fov_deg,
            self.height,
            self.width,
        )

    def mirrored(self) -> "Cameras":
        """Give the cameras that see the mirror images of what these see, of the object's mirror image.

        The object is mirrored left to right for the last camera, at azimuth 0, which stays. The others go
        around the other way, and their order is turned around: azimuths that grow do so here.
        """
        order = [*range(len(self) - 2, -1, -1), -1]
        azimuths = -self.azimuths_deg[order] % 360
        azimuths[-1] = self.azimuths_deg[-1]
        return replace(
            self,
            azimuths_deg=azimuths,
            elevations_deg=self.elevations_deg[order],
            radii=self.radii[order],
        )

    @property
    def positions(self) -> np.ndarray:
        """(V, 3) camera centres in the world."""
        azimuths, elevations = np.deg2rad(self.azimuths_deg), np.deg2rad(self.elevations_deg)
        directions = np.stack(
            [
                np.cos(elevations) * np.cos(azimuths),
                np.cos(elevations) * np.sin(azimuths),
                np.sin(elevations),
            ],
            axis=-1,
        )
        return directions * self.radii[:, None]

    @property
    def viewmats(self) -> np.ndarray:
        """(V, 4, 4) float64 world-to-camera matrices."""
        azimuths, elevations = np.deg2rad(self.azimuths_deg), np.deg2rad(self.elevations_deg)
        zeros = np.zeros_like(azimuths)
        right = np.stack([-np.sin(azimuths), np.cos(azimuths), zeros], axis=-1)
        down = np.stack(
            [
                np.sin(elevations) * np.cos(azimuths),
                np.sin(elevations) * np.sin(azimuths),
                -np.cos(elevations),
            ],
            axis=-1,
        )
        forward = np.cross(right, down)
        viewmats = np.zeros((len(self), 4, 4))
        viewmats[:, 0, :3], viewmats[:, 1, :3], viewmats[:, 2, :3] = right, down, forward
        viewmats[:, :3, 3] = -np.einsum("vij,vj->vi", viewmats[:, :3, :3], self.positions)
        viewmats[:, 3, 3] = 1.0
        return viewmats

    @property
    def Ks(self) -> np.ndarray:
        """(V, 3, 3) float64 intrinsics in pixels; pixels are square."""
        focal = 0.5 * self.height / np.tan(np.deg2rad(self.fov_deg) / 2)
        K = np.array([[focal, 0, self.width / 2], [0, focal, self.height / 2], [0, 0, 1.0]])
        return np.repeat(K[None], len(self), axis=0)


def make_cameras(
    azimuths_deg: np.ndarray | list[float],
    elevations_deg: np.ndarray | list[float] | float = DEFAULT_ELEVATION_DEG,
    *,
    radius: float = DEFAULT_RADIUS,
    fov_deg: float = DEFAULT_FOV_DEG,
    height: int = 128,
    width: int | None = None,
) -> Cameras:
    """Make cameras at the given angles, all at one radius."""
    azimuths = np.asarray(azimuths_deg, dtype=np.float64).reshape(-1)
    elevations = np.broadcast_to(np.asarray(elevations_deg, dtype=np.float64), azimuths.shape).copy()
    radii = np.full(azimuths.shape, float(radius))
    return Cameras(azimuths, elevations, radii, float(fov_deg), height, width or height)


def orbit(
    views: int,
    elevation_deg: float = DEFAULT_ELEVATION_DEG,
    *,
    radius: float = DEFAULT_RADIUS,
    fov_deg: float = DEFAULT_FOV_DEG,
    height: int = 128,
    width: int | None = None,
) -> Cameras:
    """Make the orbit that a multi-view prior generates: view k at azimuth 360 (k + 1) / views deg.

    The last view (360 deg) is the reference view.
    """
    azimuths = 360.0 * np.arange(1, views + 1) / views
    return make_cameras(azimuths, elevation_deg, radius=radius, fov_deg=fov_deg, height=height, width=width)
