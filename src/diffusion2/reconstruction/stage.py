"""Stage 2 of the method: from the image matrix to a moving asset."""

from collections.abc import Callable
from dataclasses import replace

import torch

from diffusion2.config import ReconstructionSettings
from diffusion2.errors import BackendUnavailable
from diffusion2.events import Report, Warned, ignore, stage
from diffusion2.gaussians import Asset4D, AssetMetadata, DeformationField, Gaussians
from diffusion2.gaussians.rasterize.gsplat import INSTALL, has_gsplat
from diffusion2.image_matrix import ImageMatrix
from diffusion2.reconstruction.canonical import thin_out
from diffusion2.reconstruction.losses import PictureLoss
from diffusion2.reconstruction.optimization import train_dynamics, warm_up
from diffusion2.reconstruction.targets import find_warnings, prepare_targets, reference_column
from diffusion2.reconstruction.visual_hull import carve, scatter_gaussians

STAGE = "reconstruction"


def reconstruct_matrix(
    matrix: ImageMatrix,
    settings: ReconstructionSettings | None = None,
    report: Report = ignore,
    *,
    seed: int = 0,
    start: Gaussians | None = None,
    video_given: bool = True,
    on_state: Callable[[Asset4D], object] | None = None,
) -> Asset4D:
    """Build dynamic 3D Gaussians that look like the image matrix.

    Section 3.4 of the paper: a warm-up on the views at the reference time with static Gaussians;
    then a deformation field is learned on the whole matrix, while the canonical Gaussians follow at a
    reduced learning rate and with a loss weight that falls away from the reference view and frame.
    Differences: Gaussians start in the visual hull of the reference column; more are added where they are
    needed, up to a given number; an alpha loss keeps the background empty.

    Args:
        matrix: V views by F frames on white; alphas are estimated where it has none.
        settings: None for the defaults, which are for pictures that agree with each other.
        report: takes the stage's events.
        seed: of everything that is drawn.
        start: about the object at the reference time, seen from the reference camera at azimuth 0; None: it
            is found in the visual hull.
        video_given: whether the reference view over time is what someone filmed or drew. Where it was
            generated, the Gaussians follow at the setting's `generated_canonical_rate`.
        on_state: called every ten iterations with what is learned so far, which changes with the next one.

    Raises:
        BackendUnavailable: when it shall run on a GPU and can't.
        InputError: when there is no object in the pictures, or they and the cameras contradict each other.
        WeightsError: LPIPS is part of the loss, and the file of its network is missing or damaged.
        NumericalError: when the optimisation leaves the finite numbers at its very beginning; later the last
            good state is kept, with a warning.
    """
    settings = settings or ReconstructionSettings()
    if not video_given and settings.generated_canonical_rate is not None:
        settings = replace(settings, canonical_rate=settings.generated_canonical_rate)
    metadata = _metadata(matrix)

    def warn(message: str) -> None:
        report(Warned(message))

    def show(gaussians: Gaussians, field: DeformationField | None) -> None:
        if on_state is not None:
            on_state(Asset4D(gaussians, field, metadata))

    generator = torch.Generator().manual_seed(seed)
    with stage(report, STAGE) as progress:
        device = choose_reconstruction_device(settings.device)
        loss = PictureLoss(settings, device)
        progress(0, settings.warmup_iterations + settings.joint_iterations, "visual hull")
        targets = prepare_targets(matrix, settings.weight_floor)
        for message in find_warnings(matrix, targets):
            warn(message)
        gaussians = _start(matrix, settings, start, generator, warn)
        gaussians, targets = gaussians.to(device), targets.to(device)
        gaussians = warm_up(gaussians, targets, loss, settings, generator, progress, warn, show)
        field = None
        if matrix.frames > 1 and settings.joint_iterations:
            gaussians, field = train_dynamics(
                gaussians, targets, loss, settings, generator, progress, warn, show
            )
    return Asset4D(gaussians.to("cpu"), field and field.cpu(), metadata)


def _start(
    matrix: ImageMatrix,
    settings: ReconstructionSettings,
    start: Gaussians | None,
    generator: torch.Generator,
    warn: Callable[[str], None],
) -> Gaussians:
    """Choose the first Gaussians, or scatter them in the visual hull of the reference column."""
    images, masks = reference_column(matrix)
    hull = carve(masks, matrix.cameras, matrix.seen)
    if hull.covered < 0.9:
        warn(
            f"the silhouettes at the reference time agree on only {hull.covered:.0%} of the object: "
            "the views are not of one shape, or not from these cameras"
        )
    count = max(1, round(settings.first_gaussians * settings.gaussians))
    if start is not None:
        return thin_out(start, count, generator)
    return scatter_gaussians(hull, images, matrix.cameras, count, generator, matrix.seen)


def choose_reconstruction_device(device: str) -> torch.device:
    """Return the device of a setting: "auto" is a GPU where there is one and gsplat, or else the CPU.

    Raises:
        BackendUnavailable: when a GPU is asked for and can't be used.
    """
    usable = torch.cuda.is_available() and has_gsplat()
    if device == "cuda" and not usable:
        missing = "gsplat: " + INSTALL if torch.cuda.is_available() else "a GPU that torch can use"
        raise BackendUnavailable(f"reconstruction on a GPU needs {missing}")
    return torch.device("cuda" if usable and device != "cpu" else "cpu")


def _metadata(matrix: ImageMatrix) -> AssetMetadata:
    cameras, reference = matrix.cameras, matrix.reference_view
    return AssetMetadata(
        fps=matrix.fps,
        frames=matrix.frames,
        views=matrix.views,
        azimuth_deg=cameras.azimuths_deg[reference] % 360,
        elevation_deg=cameras.elevations_deg[reference],
        radius=cameras.radii[reference],
        fov_deg=cameras.fov_deg,
        height=cameras.height,
        width=cameras.width,
    )
