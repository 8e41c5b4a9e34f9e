"""The table of presets: what is measured has a name."""

from dataclasses import fields, replace
from typing import Any

from diffusion2.config.checks import Settings, check_known
from diffusion2.config.settings import GenerateSettings, ReconstructionSettings, SamplingSettings

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
    # frames a second, and condition pictures were clean. How it samples was chosen by the sweep in
    # docs/notes/mini_v3.md.
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
            last_multiview_weight=0.3,
            video_guidance=3.0,
            last_video_guidance=3.0,
            reference_video_guidance=1.75,
            reference_noise_kept=0.97,
            views_guidance=3.0,
            guidance_sigma_low=0.3,
            guess_sigma=0.1,
            guess_error_factor=3.0,
            motion_bucket_id=135.0,
            fps_id=12.0,
            video_cond_aug=0.0,
            views_cond_aug=0.0,
        ),
        # Its views disagree about the motion. On the example at motion 145, half of the looks at the
        # reference view brought the asset from 21.9 dB to 24.9 dB of the reference video. A deformation rate
        # that rises first keeps assets from standing still. True matrices are better off without either.
        # LPIPS keeps sharp what the rest of the loss would average; legs that the pictures lose for a while
        # stay on where tearing costs. A video that it made has lost texture after its first frame: then
        # shapes and colours are those of the reference column alone.
        reconstruction=ReconstructionSettings(
            reference_share=0.5,
            deformation_warmup=100,
            lpips_weight=0.2,
            rigid_weight=0.5,
            generated_canonical_rate=0.0,
        ),
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
    # second one. With the mini pair that is no worse against ground truth; see docs/notes/performance.md.
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


def move_to_preset(settings: GenerateSettings, name: str) -> GenerateSettings:
    """Return another preset's settings, with all that was changed of the preset that these began from.

    Raises:
        InputError: there is no such preset.
    """
    check_known("preset", [name], PRESETS)
    return _carry_over(PRESETS.get(settings.preset, GenerateSettings()), settings, PRESETS[name])


def _carry_over(before: Any, after: Any, onto: Any) -> Any:
    """Change settings as `before` was changed to `after`."""
    changed = {}
    for field in fields(after):
        was, now, other = (getattr(settings, field.name) for settings in (before, after, onto))
        if isinstance(now, Settings):
            changed[field.name] = _carry_over(was, now, other)
        elif now != was:
            changed[field.name] = now
    return replace(onto, **changed)
