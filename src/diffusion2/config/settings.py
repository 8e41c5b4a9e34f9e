"""What decides a run's result. A field is an option, its docstring the help, its annotation the check."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from diffusion2.config.checks import Between, Settings, Share, check_range
from diffusion2.errors import InputError

PresetName = Literal["mini", "paper", "released", "fast"]
"""The names in `PRESETS`."""
Solver = Literal["euler", "dpmpp-2m"]
RollbackNoise = Literal["variance-reducing", "variance-preserving"]
"""What a rollback from sigma' to sigma puts back: noise of deviation sigma - sigma', as the paper's
variance-reducing sampling does; or of sqrt(sigma² - sigma'²), with which the noise level is kept."""
EARLIER_ROLLBACK_NOISE = {"reduced": "variance-reducing", "preserving": "variance-preserving"}
"""What `config.json` of earlier versions calls them."""


@dataclass(frozen=True)
class SamplingSettings(Settings):
    """Stage 1: joint denoising of the image matrix (Algorithm 1)."""

    steps: Annotated[int, Between(1, 10_000)] = 25
    """Steps of the noise schedule."""
    sigma_max: Annotated[float, Between(1e-6, 1e6)] = 80.0
    """Noise level at which sampling starts."""
    sigma_min: Annotated[float, Between(1e-6, 1e6)] = 0.002
    """Last noise level before zero."""
    rho: Annotated[float, Between(0.1, 100)] = 7.0
    """Curvature of the Karras schedule."""
    solver: Solver = "euler"
    """How a step is taken: Euler's, as in the paper, or of second order at the same cost, for fewer steps."""
    rollback_steps: Annotated[int, Between(0, 10_000)] = 3
    """N_r: in so many first steps, noise is put back and the step repeated (variance reduction)."""
    rollback_noise: RollbackNoise = "variance-reducing"
    """How much noise is put back: less than was there, as in the paper, or what keeps the noise level."""
    reference_noise_kept: Annotated[float, Between(0.01, 1)] = 1.0
    """Share of its noise that a step leaves while the references are made. Slightly below 1 it takes off what
    badly trained priors leave behind; in the matrix the rollbacks do that."""
    mirror: bool = False
    """Let the priors see the mirror image in every second step, so that errors that are not its mirror image
    average out; with the mini pair alone."""
    multiview_weight: Share = 0.5
    """s: weight of the multi-view prior; the video prior gets 1 - s."""
    weight_schedule: Literal["constant", "linear", "cosine", "logistic"] = "constant"
    """How s changes over the steps."""
    view_factor: bool = False
    """Let the weight depend on the view's distance from the reference view, as the released code does."""
    last_multiview_weight: Annotated[float | None, Between(0, 1)] = None
    """s at the last step, for the schedules that change it; None: as at the first."""
    video_guidance: Annotated[float, Between(0, 100)] = 1.75
    """Guidance scale of a video's first frame; 1 is none."""
    last_video_guidance: Annotated[float, Between(0, 100)] = 1.75
    """Guidance scale of its last frame; linear between."""
    reference_video_guidance: Annotated[float | None, Between(0, 100)] = None
    """Guidance scale while the reference video is made, which has to find its motion; None: as above."""
    views_guidance: Annotated[float, Between(0, 100)] = 1.75
    """Guidance scale of an orbit's views."""
    views_guidance_shape: Literal["constant", "triangle"] = "constant"
    """The same scale for all views, or one that rises from 1 to the object's back and falls again."""
    guidance_sigma_low: Annotated[float, Between(0, 1e9)] = 0.0
    """Guidance acts at noise levels from here ..."""
    guidance_sigma_high: Annotated[float, Between(0, 1e9)] = 1e9
    """... to here; outside it is left out, which saves half of the time."""
    feature_reuse: Annotated[int, Between(1, 100)] = 1
    """The networks' deep features are computed in every so many-th step and used again in those between; 1:
    in every step. After the rollbacks only."""
    fps_id: Annotated[float, Between(0, 1000)] = 24.0
    """Frames per second that the video prior is conditioned on."""
    motion_bucket_id: Annotated[float, Between(0, 255)] = 127.0
    """Amount of motion that the video prior is conditioned on, 0 to 255."""
    video_cond_aug: Annotated[float, Between(0, 10)] = 0.02
    """Noise on the video prior's condition pictures (in pixels from -1 to 1)."""
    views_cond_aug: Annotated[float, Between(0, 10)] = 1e-5
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
    batch_size: Annotated[int, Between(0, 100_000)] = 2
    """Rows or columns that a network sees at once, at most; fewer where memory is short. 0: up to four."""
    threads: Annotated[int, Between(0, 1024)] = 0
    """Rows or columns that are worked on at once; 0: one per core on a CPU."""
    checkpoint_every: Annotated[int, Between(1, 10_000)] = 5
    """Steps between two checkpoints in the run folder."""
    guess_sigma: Annotated[float | None, Between(1e-6, 1e9)] = None
    """The noise level from which views and matrix are sampled, beginning with what the pair's lifter makes of
    the picture, and with the column, moved as what it makes of each frame moves; None: from noise alone."""
    guess_error_factor: Annotated[float, Between(0, 1e6)] = 0.0
    """The matrix begins with at least so many times as much noise as the lifter's drawings of its column are
    wrong, so that the noise hides what they show wrongly."""
    loop_rounds: Annotated[int, Between(0, 100)] = 0
    """How often the matrix is reconstructed, drawn from its cameras and sampled on from the drawings, which
    agree with each other."""
    loop_sigma: Annotated[float, Between(1e-6, 1e9)] = 1.35
    """The noise level from which it is sampled on."""

    def check_together(self) -> None:
        """Refuse noise levels that do not fall, more rollbacks than steps, and no levels to guide at."""
        check_range("sigma_min", self.sigma_min, 1e-6, self.sigma_max)
        check_range("rollback_steps", self.rollback_steps, 0, self.steps)
        check_range("guidance_sigma_low", self.guidance_sigma_low, 0, self.guidance_sigma_high)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], prefix: str = "") -> Self:
        """Build settings as `Settings.from_dict` does; `EARLIER_ROLLBACK_NOISE` is read, too."""
        if isinstance(values, Mapping) and isinstance(values.get("rollback_noise"), str):
            noise = values["rollback_noise"]
            values = {**values, "rollback_noise": EARLIER_ROLLBACK_NOISE.get(noise, noise)}
        return super().from_dict(values, prefix)


@dataclass(frozen=True)
class ReconstructionSettings(Settings):
    """Stage 2: dynamic Gaussians from the image matrix."""

    warmup_iterations: Annotated[int, Between(1, 1_000_000)] = 400
    """Iterations on the reference time alone, with static Gaussians."""
    joint_iterations: Annotated[int, Between(0, 1_000_000)] = 900
    """Iterations on the whole matrix, with the deformation field."""
    gaussians: Annotated[int, Between(1, 5_000_000)] = 4000
    """How many Gaussians there are at most."""
    start: Literal["hull", "lifter"] = "hull"
    """Where they begin: in the visual hull of the views, or as what the mini pair's lifter makes of the
    picture. Where the views were given, always in the hull."""
    first_gaussians: Share = 0.4
    """Share of them to start with; the others are added during the warm-up, where they are needed."""
    times_per_step: Annotated[int, Between(1, 1000)] = 4
    """Frames that one iteration looks at."""
    views_per_step: Annotated[int, Between(1, 100)] = 1
    """Views of each of these frames that one iteration looks at."""
    reference_share: Share = 0.0
    """Chance that a joint iteration looks at a frame from the reference view; for views that disagree."""
    gaussians_rate: Annotated[float, Between(0, 1000)] = 5.0
    """Learning rate of the Gaussians, in multiples of those of 3D Gaussian splatting."""
    canonical_rate: Annotated[float, Between(0, 1000)] = 0.5
    """Share of that rate with which the Gaussians follow once they move."""
    generated_canonical_rate: Annotated[float | None, Between(0, 1000)] = None
    """That share where the reference video was generated, too, and its later frames have lost texture; None:
    the same."""
    weight_floor: Annotated[float, Between(1e-3, 1)] = 0.1
    """Weight of the pictures furthest from the references for the Gaussians (not their motion); 1: none."""
    deformation_rate: Annotated[float, Between(1e-9, 1)] = 2e-3
    """First learning rate of the deformation field."""
    last_deformation_rate: Annotated[float, Between(1e-9, 1)] = 2e-4
    """Its last learning rate."""
    deformation_warmup: Annotated[int, Between(0, 1_000_000)] = 0
    """Iterations over which that rate rises first; where views disagree, its units may die without."""
    deformation_depth: Annotated[int, Between(1, 64)] = 4
    """Hidden layers of the deformation field."""
    deformation_width: Annotated[int, Between(1, 4096)] = 128
    """Units of each of them."""
    position_frequencies: Annotated[int, Between(0, 24)] = 6
    """Octaves with which the deformation field sees positions."""
    time_frequencies: Annotated[int, Between(0, 24)] = 4
    """Octaves with which it sees the time."""
    time_layer: Annotated[int, Between(0, 63)] = 0
    """Its hidden layer, from 0, at which the time enters; late is faster, early smoother between frames."""
    deformation_nodes: Annotated[int, Between(0, 100_000)] = 256
    """Places at which it is evaluated, for Gaussians to interpolate between; 0: at every Gaussian."""
    deformation_scales: bool = False
    """Let Gaussians change their sizes over time, too."""
    ssim_weight: Share = 0.2
    """Share of 1 - SSIM in the photometric loss; the rest is L1."""
    lpips_weight: Annotated[float, Between(0, 1000)] = 0.0
    """Weight of LPIPS (AlexNet) in the loss, which sharpens; 0 leaves it out."""
    alpha_weight: Annotated[float, Between(0, 1000)] = 0.5
    """Weight of the error of the silhouettes."""
    rigid_weight: Annotated[float, Between(0, 1000)] = 0.0
    """Weight of motion that tears or bends, so that no limb comes off where the pictures lose it."""
    smooth_weight: Annotated[float, Between(0, 1000)] = 0.0
    """Weight of uneven motion between the frames."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it runs. auto: on a GPU if there is one, and gsplat to draw on it, or else on the CPU."""

    def check_together(self) -> None:
        """Refuse a time that enters the deformation field behind its last layer."""
        check_range("time_layer", self.time_layer, 0, self.deformation_depth - 1)


@dataclass(frozen=True)
class InputSettings(Settings):
    """How the input is read. See docs/inputs.md."""

    start: Annotated[float, Between(0, 1e6)] = 0.0
    """Seconds into a video at which its frames begin."""
    video_fps: Annotated[float | None, Between(1e-3, 1000)] = None
    """Frames per second taken from a video; None: the run's frames are spread over all of it."""
    framing: Literal["object", "keep"] = "object"
    """Cut pictures to the object and centre it; or keep them whole, as they are framed already."""
    background: Literal["auto", "alpha", "plain", "network"] = "auto"
    """How the object is cut out: by its alpha, by a plain background, or by a network; auto: by the first of
    them that can tell. plain takes alpha, too; alpha takes it as it is."""
    matting_model: str | None = None
    """That network, an ONNX file of the U2-Net family; None: the installed one."""
    text_model: str | None = None
    """A text-to-image pipeline of diffusers, its name on the hub or its folder."""
    text_steps: Annotated[int | None, Between(1, 1000)] = None
    """Steps of that pipeline; None: its own default."""
    prompt_suffix: str = ", the whole body, centred, on a plain white background"
    """Added to the prompt, because one object is wanted and nothing around it."""
    model_up: Literal["auto", "x", "y", "z", "-x", "-y", "-z"] = "auto"
    """Which way is up in a 3D model; auto: what is usual for its format."""
    model_clip: str | None = None
    """An animation in a glTF model whose first pose is taken; None: the model at rest."""
    model_azimuth_deg: Annotated[float, Between(-360, 360)] = 0.0
    """From where around a 3D model the reference camera looks; 0 is its front."""


@dataclass(frozen=True)
class GenerateSettings(Settings):
    """Everything that decides what a run makes, besides its input."""

    preset: Literal[PresetName, "none"] = "none"
    """What these settings began from, which chooses the defaults of all options below; none: plain ones."""
    priors: Literal["mini", "svd-sv3d"] = "mini"
    """The pair of priors: the small one in the package, or SVD-XT with SV3D_p."""
    weights: str | None = None
    """Folder of the full-size pair's weights, see docs/weights.md; None: where the environment says, or where
    they were fetched to."""
    seed: Annotated[int, Between(0, 2**63 - 1)] = 0
    """Seed of all noise; the same seed and settings give the same result."""
    views: Annotated[int, Between(1, 100)] = 12
    """V: views around the object."""
    frames: Annotated[int, Between(1, 1000)] = 12
    """F: frames in time."""
    size: Annotated[int, Between(16, 4096)] = 128
    """Height and width of every image in pixels."""
    fps: Annotated[float, Between(0.1, 240)] = 8.0
    """Frames per second of the result where no video says it. The spelling --fps of the command line sets it,
    --video-fps and --sampling.fps-id alike."""
    elevation_deg: Annotated[float, Between(-89, 89)] = 10.0
    """Elevation of the camera that took the input (or --elevation)."""
    azimuths_deg: tuple[Annotated[float, Between(-720, 720)], ...] = ()
    """Azimuth of each view, the reference view's 0 or 360 last (or --azimuths); none: evenly all around."""
    reference_frame: Literal["first", "last"] = "first"
    """The frame of the sequence that is seen from all sides first; motion is made from it, or towards it."""
    object_size: Annotated[float, Between(0.05, 1)] = 0.9
    """Share of the frame that the object's longer side fills."""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    reconstruction: ReconstructionSettings = field(default_factory=ReconstructionSettings)

    def check_together(self) -> None:
        """Refuse azimuths that are not those of the views, or do not end at the reference view."""
        if self.azimuths_deg and len(self.azimuths_deg) != self.views:
            raise InputError(f"there are {self.views} views, but {len(self.azimuths_deg)} azimuths for them")
        if self.azimuths_deg and self.azimuths_deg[-1] % 360 != 0:
            raise InputError(
                f"the last azimuth is the reference view's, 0 or 360, not {self.azimuths_deg[-1]:g}"
            )


def settings_from_dict(values: Mapping[str, Any]) -> GenerateSettings:
    """Build a run's settings from what `config.json` holds.

    A setting that is missing, because an earlier version did not have it, takes its class's default of today
    and not that of the run's preset.

    Raises:
        InputError: a name is unknown, or a value does not fit; it says which are known.
    """
    return GenerateSettings.from_dict(values)


def input_settings_from_dict(values: Mapping[str, Any]) -> InputSettings:
    """Build input settings from what `config.json` holds, as `settings_from_dict` does."""
    return InputSettings.from_dict(values)
