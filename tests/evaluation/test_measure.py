import json
import math
from dataclasses import asdict, replace

import pytest
import torch

from diffusion2.cameras import make_cameras, orbit
from diffusion2.errors import InputError, WeightsError
from diffusion2.evaluation.measure import Networks, load_networks, measure
from diffusion2.evaluation.scores import DEFINITIONS, HIGHER_IS_BETTER
from diffusion2.events import StageFinished
from diffusion2.image_matrix import ImageMatrix, frame_times
from diffusion2.metrics import networks as networks_module

VIEWS, FRAMES, SIZE = 4, 10, 40


def disc_matrix(views=VIEWS, frames=FRAMES, size=SIZE, *, still=False):
    """A disc with stripes that grows over time, the same from all sides."""
    y, x = torch.meshgrid(
        torch.arange(size) + 0.5 - size / 2, torch.arange(size) + 0.5 - size / 2, indexing="ij"
    )
    images, alphas = [], []
    for frame in range(frames):
        radius = size * (0.2 if still else 0.2 + 0.15 * frame / frames)
        alpha = ((x**2 + y**2).sqrt() < radius).float()[None]
        color = torch.stack([0.5 + 0.3 * torch.sin(x + y), 0.3 + 0 * x, 0.4 + 0.2 * torch.cos(x)])
        images.append(color * alpha + 1 - alpha)
        alphas.append(alpha)
    cameras = orbit(views, 0.0, height=size)
    rows, alphas = torch.stack(images), torch.stack(alphas)
    return ImageMatrix(
        rows.repeat(views, 1, 1, 1, 1), cameras, frame_times(frames), 8.0, alphas.repeat(views, 1, 1, 1, 1)
    )


def noisy(matrix, amount=0.1):
    noise = torch.randn(matrix.images.shape, generator=torch.Generator().manual_seed(0))
    return replace(matrix, images=(matrix.images + amount * noise).clamp(0, 1), alphas=None)


def mean_difference(images, others):
    return (images - others).abs().mean(dim=(1, 2, 3))


def two_numbers(videos):
    return torch.stack([videos.mean(dim=(1, 2, 3, 4)), videos.std(dim=(1, 2, 3, 4))], dim=1)


ALL = Networks(
    {"lpips_alex": mean_difference, "lpips_vgg": mean_difference, "clip": mean_difference, "i3d": two_numbers}
)
NONE = Networks()


@pytest.fixture(scope="module")
def truth():
    return disc_matrix()


@pytest.fixture(scope="module")
def worse(truth):
    return measure(noisy(truth), truth, ALL)


def test_the_reference_itself_gets_the_best_scores(truth):
    scores = measure(truth, truth, ALL).overall
    best = {"psnr": 100, "psnr_foreground": 100, "ssim": 1, "ssim_foreground": 1, "lpips_alex": 0}
    best |= {"lpips_vgg": 0, "clip": 0, "fvd": 0, "fvd_paired": 0, "motion_ratio": 1, "temporal_error": 0}
    for name, value in best.items():
        assert scores[name].value == pytest.approx(value, abs=1e-6), name
    assert scores["multiview_consistency"].value > 0.99


def test_every_score_is_there_in_order_and_defined(worse):
    for scores in (worse.overall, *worse.per_view):
        assert list(scores) == list(HIGHER_IS_BETTER) == list(DEFINITIONS)
        for name, score in scores.items():
            assert score.name == name
            assert score.higher_is_better == HIGHER_IS_BETTER[name]
            assert score.value is not None or score.note
    assert len(worse.per_view) == VIEWS
    assert worse.overall["multiview_consistency"].reference > 0.99


def test_more_noise_is_worse(truth, worse):
    much_worse = measure(noisy(truth, 0.3), truth, NONE).overall
    for name in ("psnr", "psnr_foreground", "ssim", "ssim_foreground"):
        assert much_worse[name].value < worse.overall[name].value, name
    for name in ("temporal_error", "motion_ratio"):
        assert much_worse[name].value > worse.overall[name].value, name


def test_the_whole_is_the_mean_of_the_views(worse):
    for name in ("psnr", "psnr_foreground", "ssim", "lpips_alex", "temporal_error", "fvd_paired"):
        views = [scores[name].value for scores in worse.per_view]
        assert worse.overall[name].value == pytest.approx(sum(views) / VIEWS, rel=1e-5), name


def test_a_result_that_stands_still_has_no_motion(truth):
    still = replace(truth, images=truth.images[:, :1].expand_as(truth.images))
    assert measure(still, truth, NONE).overall["motion_ratio"].value == 0


def test_half_the_motion_is_a_ratio_of_a_half(truth):
    half = (truth.images + truth.images[:, :1]) / 2
    ratio = measure(replace(truth, images=half), truth, NONE).overall["motion_ratio"].value
    assert ratio == pytest.approx(0.5, rel=1e-4)


def test_a_reference_that_stands_still_has_no_motion_ratio(truth):
    score = measure(truth, disc_matrix(still=True), NONE).overall["motion_ratio"]
    assert score.value is None
    assert "stands still" in score.note


def test_only_the_views_asked_for_count(truth):
    spoiled = truth.images.clone()
    spoiled[2] = 1 - spoiled[2]
    evaluation = measure(replace(truth, images=spoiled), truth, ALL, views=[0, 3])
    assert evaluation.overall["psnr"].value == pytest.approx(100)
    assert evaluation.settings["views"] == [0, 3]
    assert evaluation.settings["azimuths_deg"] == [90, 360]
    assert len(evaluation.per_view) == 2
    with pytest.raises(InputError, match="views 0 to 3"):
        measure(truth, truth, NONE, views=[4])


def test_one_clip_has_no_distance_between_sets_and_says_so(worse, truth):
    for scores in (worse.per_view[0], measure(truth, truth, ALL, views=[1]).overall):
        assert scores["fvd"].value is None
        assert "at least 2 clips" in scores["fvd"].note
        assert scores["fvd_paired"].value is not None
    assert worse.overall["fvd"].note == "4 clips"


def test_a_missing_network_is_a_row_with_its_reason(truth):
    networks = Networks({"i3d": two_numbers}, {"clip": "CLIP is not here: put it there"})
    scores = measure(truth, truth, networks).overall
    assert (scores["clip"].value, scores["clip"].note) == (None, "CLIP is not here: put it there")
    assert (scores["lpips_vgg"].value, scores["lpips_vgg"].note) == (None, "not asked for")
    assert scores["fvd"].value is not None


def test_weights_that_are_not_there_are_remembered_not_raised(monkeypatch):
    def load(name, clip):
        if name == "i3d":
            raise WeightsError("no I3D: install it")
        return name

    monkeypatch.setattr(networks_module, "_load", load)
    networks = load_networks({"lpips_alex", "i3d"})
    assert networks == Networks({"lpips_alex": "lpips_alex"}, {"i3d": "no I3D: install it"})
    with pytest.raises(InputError, match="no network 'lpips'"):
        load_networks({"lpips"})


def test_a_white_reference_has_no_object_and_no_numbers_that_need_one(truth):
    white = replace(truth, images=torch.ones_like(truth.images), alphas=None)
    scores = measure(truth, white, ALL).overall
    for name in ("psnr_foreground", "ssim_foreground", "temporal_error"):
        assert scores[name].value is None
        assert "no object" in scores[name].note
    assert scores["motion_ratio"].value is None
    assert scores["psnr"].value < 30
    scores = measure(white, white, ALL).overall
    assert scores["multiview_consistency"].value is None


def test_pictures_without_the_object_are_left_out_and_counted(truth):
    images, alphas = truth.images.clone(), truth.alphas.clone()
    images[1, 3:], alphas[1, 3:] = 1, 0
    score = measure(noisy(truth), replace(truth, images=images, alphas=alphas), NONE).overall[
        "psnr_foreground"
    ]
    assert score.note.startswith("7 of 40 left out")


def test_one_frame_and_one_view_have_no_scores_of_motion_and_views(truth):
    one = ImageMatrix(truth.images[:1, :1], truth.cameras[0], truth.times[:1], 8.0)
    scores = measure(one, one, ALL).overall
    for name, reason in (
        ("motion_ratio", "one frame"),
        ("temporal_error", "one frame"),
        ("fvd", "at least 9 frames, there are 1"),
        ("multiview_consistency", "one view"),
    ):
        assert scores[name].value is None
        assert reason in scores[name].note


def test_unknown_cameras_leave_out_the_silhouettes(truth):
    score = measure(truth, truth, NONE, cameras_known=False).overall["multiview_consistency"]
    assert (score.value, score.note) == (None, "the cameras are not known")


def test_tiny_pictures_are_measured_as_far_as_they_go():
    tiny = disc_matrix(2, 2, 8)
    scores = measure(noisy(tiny), tiny, ALL).overall
    for name in ("ssim", "lpips_alex"):
        assert "too small" in scores[name].note
    assert scores["psnr"].value > 0


def test_everything_is_json_without_nan(worse, truth):
    white = replace(truth, images=torch.ones_like(truth.images), alphas=None)
    for evaluation in (worse, measure(truth, white, NONE), measure(white, truth, NONE)):
        text = json.dumps(asdict(evaluation), allow_nan=False)
        assert json.loads(text)["settings"]["frames"] == FRAMES
        for score in evaluation.overall.values():
            assert score.value is None or math.isfinite(score.value)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (disc_matrix(views=3), "views 3"),
        (disc_matrix(frames=9), "frames 9"),
        (disc_matrix(size=44), "height 44"),
    ],
)
def test_matrices_of_different_shapes_are_refused(truth, result, message):
    with pytest.raises(InputError, match=message):
        measure(result, truth, NONE)


def test_views_at_other_azimuths_are_refused(truth):
    mirrored = make_cameras(-truth.cameras.azimuths_deg, 0.0, height=SIZE)
    with pytest.raises(InputError, match="view 0 stands at azimuth -90° in the result and at 90°"):
        measure(replace(truth, cameras=mirrored), truth, NONE)
    turned = make_cameras(truth.cameras.azimuths_deg - 360, 0.0, height=SIZE)
    assert measure(replace(truth, cameras=turned), truth, NONE).overall["psnr"].value == pytest.approx(100)


def test_stages_are_reported(truth):
    events = []
    measure(truth, truth, NONE, report=events.append)
    assert [e.stage for e in events if isinstance(e, StageFinished)] == ["pictures", "silhouettes"]
