import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from diffusion2.cameras import orbit
from diffusion2.config import ReconstructionSettings
from diffusion2.errors import NumericalError
from diffusion2.gaussians import Gaussians
from diffusion2.gaussians.rasterize import rasterize
from diffusion2.quaternions import rotation_matrices
from diffusion2.reconstruction import optimization
from diffusion2.reconstruction.canonical import Canonical
from diffusion2.reconstruction.cells import Cells, draw_moving, draw_static
from diffusion2.reconstruction.density import Growth, add
from diffusion2.reconstruction.losses import PictureLoss
from diffusion2.reconstruction.motion import Motion
from diffusion2.reconstruction.optimization import Kept, _losses, train_dynamics, warm_up
from diffusion2.reconstruction.targets import prepare_targets

SMALL = replace(
    ReconstructionSettings(),
    warmup_iterations=4,
    joint_iterations=4,
    gaussians=50,
    times_per_step=2,
    views_per_step=2,
    deformation_depth=2,
    deformation_width=8,
)
LOSS = PictureLoss(SMALL, torch.device("cpu"))


def ignore_progress(done: int, total: int, detail: str = "") -> None:
    pass


def some_gaussians(count=50, seed=0) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)
    means = 0.15 * torch.randn(count, 3, generator=generator)
    quats = torch.randn(count, 4, generator=generator)
    logits = torch.randn(count, generator=generator)
    sh0 = torch.randn(count, 1, 3, generator=generator)
    return Gaussians(means, quats, torch.full((count, 3), -3.0), logits, sh0)


@pytest.fixture(scope="module")
def targets(moon_matrix):
    return prepare_targets(moon_matrix(orbit(4, height=32), 3), 0.1)


def test_weights_hold_for_the_gaussians_and_not_for_their_motion(targets):
    """With weights w, the Gaussians' gradient is that of w L and the motion's that of L."""
    cells = Cells(torch.tensor([1, 2]), torch.tensor([0, 2]), torch.tensor([0, 1]))
    weights = torch.tensor([0.25, 0.5])

    def gradients(loss_weights, given):
        parameters = {k: v.clone().requires_grad_() for k, v in some_gaussians().tensors().items()}
        gaussians = Gaussians(**parameters)
        motion = Motion(gaussians, SMALL, torch.Generator().manual_seed(0))
        torch.nn.init.normal_(motion.field.head.weight, std=0.05, generator=torch.Generator().manual_seed(1))
        outputs = motion.outputs(gaussians, targets.times[cells.frames])
        posed = motion.pose(outputs, gaussians, cells.of_picture, None if given is None else 1 / given)
        losses = _losses(gaussians, posed, targets, cells, LOSS)
        (loss_weights * losses).sum().backward()
        return [v.grad for v in parameters.values()], [p.grad for p in motion.field.parameters()]

    still, moving = gradients(weights, weights)
    weighted, _ = gradients(weights, None)
    _, plain = gradients(torch.ones(2), None)
    # float32 sums in another order.
    for found, wanted in [*zip(still, weighted, strict=True), *zip(moving, plain, strict=True)]:
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("nodes", [0, 20])
def test_strain_is_none_of_a_rigid_motion_and_that_of_what_is_torn_off(nodes):
    gaussians = some_gaussians()
    settings = replace(SMALL, deformation_nodes=nodes)
    motion = Motion(gaussians, settings, torch.Generator().manual_seed(0))
    points = motion.field.nodes if nodes else gaussians.means
    # a turn about the origin and a shift, the same for all
    rigid = torch.tensor([0.3, -0.1, 0.2, 0.5, -0.4, 0.1]).expand(2, len(points), 6)
    assert float(motion.strain(rigid, gaussians)) < 1e-10

    # one node moves away by d: each pair that it is in, either way round, has d² over its squared length
    torn, d = torch.zeros(1, len(points), 6), 0.25
    torn[0, 7, 0] = d
    distances = torch.cdist(points, points)
    near = distances.topk(9, largest=False)[1][:, 1:]
    in_pair = (near == 7) | (torch.arange(len(points)) == 7)[:, None]
    wanted = (in_pair * d**2 / distances.gather(1, near).square()).mean()
    assert float(motion.strain(torn, gaussians)) == pytest.approx(float(wanted), rel=1e-4)


def test_a_turn_strains_as_the_plain_formula_says():
    """A node's own motion carries its neighbours: against the mean over pairs, in float64."""
    gaussians = some_gaussians()
    motion = Motion(gaussians, replace(SMALL, deformation_nodes=20), torch.Generator().manual_seed(0))
    outputs = 0.3 * torch.randn(2, 20, 6, generator=torch.Generator().manual_seed(3))
    points = motion.field.nodes.double()

    def carry(numbers, place):
        shift, turn = numbers[:3], numbers[3:]
        return rotation_matrices(torch.cat([torch.ones(1), turn])) @ place + shift

    near = torch.cdist(points, points).topk(9, largest=False)[1][:, 1:]
    strains = [
        (carry(moment[i], points[j]) - carry(moment[j], points[j])).square().sum()
        / (points[i] - points[j]).square().sum()
        for moment in outputs.double()
        for i in range(20)
        for j in near[i].tolist()
    ]
    wanted = float(torch.stack(strains).mean())
    assert float(motion.strain(outputs, gaussians)) == pytest.approx(wanted, rel=1e-4)


def test_rigid_weight_keeps_the_motion_rigid(targets):
    """The same pictures, the same seed: with the weight, less strain is left in the field."""

    def strain_left(weight):
        settings = replace(SMALL, joint_iterations=40, deformation_nodes=20, rigid_weight=weight)
        generator = torch.Generator().manual_seed(0)
        kept, field = train_dynamics(
            some_gaussians(), targets, LOSS, settings, generator, ignore_progress, pytest.fail
        )
        motion = Motion(kept, settings, torch.Generator().manual_seed(0))
        motion.field = field
        return float(motion.strain(motion.outputs(kept, targets.times), kept))

    assert strain_left(10.0) < 0.3 * strain_left(0.0)


def draw(gaussians: Gaussians) -> torch.Tensor:
    cameras = orbit(1, height=32)
    viewmats, Ks = (torch.as_tensor(x).float() for x in (cameras.viewmats, cameras.Ks))
    g = gaussians
    with torch.no_grad():
        return rasterize(g.means, g.quats, g.scales, g.opacities, g.colors, viewmats, Ks, 32, 32).rgb


def test_added_gaussians_are_where_they_are_needed_and_keep_the_picture():
    canonical = Canonical(some_gaussians(), 1.0, 10)
    need = torch.zeros(50)
    need[:3] = 1.0
    before, places = draw(canonical.gaussians), canonical.gaussians.means[:3].detach().clone()
    add(canonical, 6, need, torch.Generator().manual_seed(0))
    assert len(canonical) == 56
    # Copies are drawn from the Gaussian that they share, of a size of e^-3: five of these hold all but 1e-5.
    away = torch.cdist(canonical.gaussians.means[50:].detach(), places).amin(1)
    assert float(away.max()) < 5 * math.exp(-3)
    # A copy may land a standard deviation away, which softens the picture a little.
    assert float((draw(canonical.gaussians) - before).abs().mean()) < 0.03


def test_unseen_gaussians_are_not_copied():
    gaussians = some_gaussians()
    gaussians.opacity_logits[1:] = -8.0
    canonical = Canonical(gaussians, 1.0, 10)
    add(canonical, 2, torch.ones(50), torch.Generator().manual_seed(0))
    assert int((canonical.gaussians.opacities > 0.005).sum()) == 3
    add(canonical, 2, torch.zeros(52), torch.Generator().manual_seed(0))  # no one needs company
    assert len(canonical) == 52


def test_optimiser_goes_on_after_gaussians_were_added():
    canonical = Canonical(some_gaussians(), 1.0, 10)

    def follow() -> None:
        for parameter in canonical.parameters.values():
            parameter.grad = torch.ones_like(parameter)
        canonical.step()

    follow()
    add(canonical, 4, torch.ones(50), torch.Generator().manual_seed(0))
    before = canonical.gaussians.means.detach().clone()
    follow()
    # Adam's step is its rate where gradients don't change; that of a copy starts without momentum.
    moved = (canonical.gaussians.means - before).detach().abs()
    torch.testing.assert_close(moved[:50], torch.full((50, 3), 3.2e-4 * 0.1**0.1), rtol=1e-3, atol=1e-9)
    assert float(moved[50:].min()) > 0
    assert float(moved[50:].max()) < 3.2e-4


def test_number_of_gaussians_grows_by_plan_to_its_limit():
    canonical = Canonical(some_gaussians(), 1.0, 100)
    growth, counts = Growth(canonical, 200, 100, torch.Generator().manual_seed(0)), []
    for step in range(100):
        canonical.parameters["means"].grad = torch.ones_like(canonical.parameters["means"])
        growth.note()
        canonical.parameters["means"].grad = None
        growth.act(step + 1)
        counts.append(len(canonical))
    assert counts[18] == 50
    assert counts[19] == 100
    assert counts[59] == counts[-1] == 200


def test_colours_stay_colours(targets):
    canonical = Canonical(some_gaussians(), 1000.0, 10)
    for _ in range(3):
        canonical.parameters["sh0"].grad = -torch.ones_like(canonical.parameters["sh0"])
        canonical.step()
    # All overshot; a clamp in the parameters themselves keeps their gradients alive.
    torch.testing.assert_close(canonical.gaussians.colors, torch.ones(50, 3))


def test_a_step_looks_at_some_views_of_some_frames(targets):
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        cells = draw_moving(targets, SMALL, generator)
        assert len(set(cells.frames.tolist())) == 2
        assert cells.of_picture.tolist() == [0, 0, 1, 1]
        assert all(len(set(pair.tolist())) == 2 for pair in cells.views.split(2))


def test_the_reference_view_is_looked_at_as_often_as_asked(targets):
    generator = torch.Generator().manual_seed(0)
    always, never = (replace(SMALL, views_per_step=1, reference_share=share) for share in (1.0, 0.0))
    seen = torch.cat([draw_moving(targets, never, generator).views for _ in range(200)])
    assert float((seen == targets.views - 1).float().mean()) < 2 / targets.views
    assert (draw_moving(targets, always, generator).views == targets.views - 1).all()


def dead_units(warmup: int, seed: int) -> float:
    """Return the share of last units that are 0 everywhere after steps that only say that motion is wrong."""
    generator = torch.Generator().manual_seed(seed)
    settings, gaussians = ReconstructionSettings(deformation_warmup=warmup), some_gaussians(300, seed)
    motion = Motion(gaussians, settings, generator)
    seen: list[torch.Tensor] = []
    motion.field.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    times = torch.linspace(0, 1, 12)
    for _ in range(60):
        outputs = motion.field.outputs(gaussians.means, times[torch.randperm(12, generator=generator)[:4]])
        (outputs - 0.05 * torch.randn(4, 1, 6, generator=generator)).abs().mean().backward()
        motion.step()
    motion.field.outputs(gaussians.means, times)
    return float((seen[-1].amax(dim=(0, 1)) == 0).float().mean())


def test_contradictory_first_gradients_do_not_kill_the_field():
    without, with_warmup = (np.mean([dead_units(steps, seed) for seed in range(6)]) for steps in (0, 100))
    assert with_warmup < 0.6
    assert without > 0.7  # what the warm-up is for: some of these fields are constant, their assets still


def test_the_deformation_rate_rises_and_then_falls_to_its_last_value():
    settings = replace(SMALL, joint_iterations=100, deformation_warmup=9)
    motion = Motion(some_gaussians(), settings, torch.Generator().manual_seed(0))
    rates = []
    for _ in range(101):
        rates.append(motion.optimizer.param_groups[0]["lr"])
        motion.step()
    first, last = settings.deformation_rate, settings.last_deformation_rate
    assert rates[0] == pytest.approx(first / 10)
    assert rates[9] == max(rates) == pytest.approx(first * (last / first) ** 0.09)
    assert rates[100] == pytest.approx(last)


def test_the_newest_state_is_kept_that_has_not_diverged():
    kept, value = Kept(steps=125), torch.zeros(1)
    for window, loss in enumerate([3.0, 1.0, 1.2, 1.3, math.nan]):
        value.fill_(window)
        for _ in range(25):
            kept.offer(loss, {"value": value})
    assert float(kept.state[0]["value"]) == 2


@pytest.mark.parametrize("steps", [1, 24, 25, 26, 49, 50])
def test_the_last_step_counts(steps):
    kept = Kept(steps)
    for step in range(1, steps + 1):
        kept.offer(1.0, {"value": torch.tensor(step)})
    assert int(kept.state[0]["value"]) == steps


@pytest.mark.parametrize("steps", [1, 25, 49])
@pytest.mark.parametrize("phase", [warm_up, train_dynamics])
def test_both_phases_give_what_their_last_step_made(targets, monkeypatch, phase, steps):
    made = []

    class Watched(Canonical):
        """Remembers the means after every step."""

        def step(self):
            super().step()
            made.append(self.parameters["means"].detach().clone())

    monkeypatch.setattr(optimization, "Canonical", Watched)
    # a rate at which every step is seen, and no Gaussian dies
    settings = replace(SMALL, warmup_iterations=steps, joint_iterations=steps, gaussians_rate=1.0)
    generator = torch.Generator().manual_seed(0)
    start = some_gaussians(settings.gaussians)
    found = phase(start, targets, LOSS, settings, generator, ignore_progress, pytest.fail)
    means = (found if phase is warm_up else found[0]).means
    assert len(made) == steps
    seen = (means[:, None] == made[-1][None]).all(-1).any(1)
    assert bool(seen.all())
    assert steps == 1 or not bool((means[:, None] == made[-2][None]).all(-1).any(1).all())


def test_cells_that_show_nothing_are_not_looked_at(targets):
    shown = torch.ones(targets.views, targets.frames, dtype=torch.bool)
    shown[:, 1] = False
    shown[2:, 0] = shown[0, 2] = False
    partly = replace(targets, shown=shown)
    generator = torch.Generator().manual_seed(0)
    always = replace(SMALL, reference_share=1.0, views_per_step=3)
    for _ in range(20):
        for cells in (draw_moving(partly, always, generator), draw_static(partly, always, generator)):
            assert bool(shown[cells.views, cells.frames[cells.of_picture]].all())
            assert len(cells.views) > 0


def diverging_after(steps: int, targets, monkeypatch):
    """Let every loss after some steps be NaN."""
    calls = []

    def losses(*arguments):
        calls.append(1)
        found = _losses(*arguments)
        return found * float("nan") if len(calls) > steps else found

    monkeypatch.setattr(optimization, "_losses", losses)


def test_divergence_at_the_beginning_is_reported_with_its_step(targets, monkeypatch):
    diverging_after(0, targets, monkeypatch)
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(NumericalError, match="reconstruction gave values that are not finite at step 0"):
        warm_up(some_gaussians(), targets, LOSS, SMALL, generator, ignore_progress, pytest.fail)
    with pytest.raises(NumericalError, match="not finite at step 4"):
        train_dynamics(some_gaussians(), targets, LOSS, SMALL, generator, ignore_progress, pytest.fail)


@pytest.mark.parametrize("phase", [warm_up, train_dynamics])
def test_divergence_later_keeps_the_last_good_state_and_warns(targets, monkeypatch, phase):
    diverging_after(60, targets, monkeypatch)
    longer = replace(SMALL, warmup_iterations=100, joint_iterations=100)
    warnings = []
    generator = torch.Generator().manual_seed(0)
    found = phase(some_gaussians(), targets, LOSS, longer, generator, ignore_progress, warnings.append)
    gaussians = found if phase is warm_up else found[0]
    assert all(bool(torch.isfinite(tensor).all()) for tensor in gaussians.tensors().values())
    assert len(warnings) == 1
    assert "the last good state is kept" in warnings[0]
