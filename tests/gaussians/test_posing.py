"""Posing Gaussians by interpolated motion: the kernels against their dense twin, the twin by hand."""

import pytest
import torch

from diffusion2.gaussians.posing import dense_pose, follow_nearest, follow_own, pose


def make_case(times: int, nodes: int, count: int, pictures: int, dtype=torch.float32, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    means = normal(count, 3)
    skinning = follow_nearest(means.float(), normal(nodes, 3).float())
    of_picture = torch.randint(times, (pictures,), generator=generator)
    return 0.5 * normal(times, nodes, 6), means, normal(count, 4), skinning, of_picture


def differentiate(function, outputs, means, quats, *others):
    inputs = [x.clone().requires_grad_() for x in (outputs, means, quats)]
    posed = function(*inputs, *others)
    generator = torch.Generator().manual_seed(1)
    loss = torch.zeros((), dtype=torch.float64)
    posed = [part for part in posed if part is not None]
    for part in posed:
        weights = torch.randn(part.shape, generator=generator, dtype=torch.float64)
        loss = loss + (part.double() * weights).sum()
    return [part.detach() for part in posed], torch.autograd.grad(loss, inputs)


@pytest.mark.parametrize(
    ("times", "nodes", "count", "pictures"), [(3, 40, 300, 5), (1, 1, 3, 1), (2, 3, 7, 2), (2, 600, 600, 4)]
)
def test_kernels_equal_their_dense_twin(times, nodes, count, pictures):
    outputs, means, quats, skinning, of_picture = make_case(times, nodes, count, pictures)
    gains = torch.linspace(0.5, 2, pictures)
    ours, our_gradients = differentiate(pose, outputs, means, quats, skinning, of_picture, gains)
    exact = [x.double() for x in (outputs, means, quats)]
    theirs, their_gradients = differentiate(dense_pose, *exact, skinning, of_picture, gains)
    for found, wanted in zip([*ours, *our_gradients], [*theirs, *their_gradients], strict=True):
        # float32 against float64, sums of a hundred terms at most.
        assert float((found - wanted).norm()) < 1e-6 * float(wanted.norm())


def test_dense_pose_has_the_gradients_of_finite_differences():
    outputs, means, quats, skinning, of_picture = make_case(2, 5, 6, 3, dtype=torch.float64)
    inputs = [x.requires_grad_() for x in (outputs, means, quats)]
    ones = torch.ones(3)
    assert torch.autograd.gradcheck(
        lambda o, m, q: dense_pose(o, m, q, skinning, of_picture, ones), inputs, fast_mode=True
    )


def test_gains_hold_for_the_motion_alone():
    outputs, means, quats, skinning, of_picture = make_case(1, 5, 20, 1)
    _, (plain, *plain_rest) = differentiate(pose, outputs, means, quats, skinning, of_picture)
    _, (tripled, *rest) = differentiate(
        pose, outputs, means, quats, skinning, of_picture, torch.tensor([3.0])
    )
    torch.testing.assert_close(tripled, 3 * plain)
    for found, wanted in zip(rest, plain_rest, strict=True):
        assert torch.equal(found, wanted)


def test_equal_outputs_at_all_nodes_are_one_rigid_motion():
    _, means, quats, skinning, _ = make_case(1, 12, 30, 1)
    outputs = torch.tensor([0.1, 0.2, 0.3, 0.0, 0.0, 1.0]).expand(1, 12, 6)  # a quarter turn about z
    moved, turned, _ = pose(outputs, means, quats, skinning)
    wanted = torch.stack([-means[:, 1], means[:, 0], means[:, 2]], dim=1) + torch.tensor([0.1, 0.2, 0.3])
    torch.testing.assert_close(moved[0], wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(turned[0].norm(dim=1), quats.norm(dim=1))


def test_a_gaussian_at_a_node_follows_it_alone():
    nodes = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    skinning = follow_nearest(nodes, nodes)
    # The nearest comes first; the others count as far as they lie within the fifth's distance.
    assert torch.equal(skinning.index[:, 0], torch.arange(20, dtype=torch.int32))
    assert bool((skinning.weights[:, 0] > skinning.weights[:, 1:].amax(1)).all())


def test_weights_have_no_jumps():
    """Along a line through the nodes the interpolated outputs change as little as the place does."""
    generator = torch.Generator().manual_seed(3)
    nodes, values = torch.rand(60, 3, generator=generator), torch.rand(60, 1, generator=generator)
    line = torch.linspace(0, 1, 4001)[:, None].expand(-1, 3)
    skinning = follow_nearest(line, nodes)
    found = (values[skinning.index.long()] * skinning.weights[..., None]).sum(1)[:, 0]
    torch.testing.assert_close(skinning.weights.sum(1), torch.ones(4001))
    # A step is 4e-4 long and nodes are about 0.2 apart; a jump would be a share of the values' range of 1.
    assert float(found.diff().abs().max()) < 0.02


def test_following_nodes_of_its_own_is_no_interpolation():
    outputs, means, quats, _, _ = make_case(2, 9, 9, 2)
    moved = pose(outputs, means, quats, follow_own(9, means.device)).means
    alone = pose(outputs[:, 4:5], means[4:5], quats[4:5], follow_own(1, means.device)).means
    assert torch.equal(moved[:, 4], alone[:, 0])


def test_gaussians_grow_as_the_nodes_that_they_follow_say():
    outputs, means, quats, skinning, of_picture = make_case(3, 8, 20, 4)
    growths = torch.randn(3, 8, 3, generator=torch.Generator().manual_seed(1))
    rigid = pose(outputs, means, quats, skinning, of_picture)
    posed = pose(torch.cat([outputs, growths], dim=2), means, quats, skinning, of_picture)
    assert torch.equal(posed.means, rigid.means)
    assert torch.equal(posed.quats, rigid.quats)
    assert rigid.growths is None
    for n in (0, 7, 19):
        nodes, weights = skinning.index[n].long(), skinning.weights[n]
        wanted = torch.stack([(growths[t, nodes] * weights[:, None]).sum(0) for t in of_picture])
        torch.testing.assert_close(posed.growths[:, n], wanted)
    log_scales = torch.randn(20, 3)
    assert torch.equal(rigid.scales(log_scales), log_scales.exp())
    torch.testing.assert_close(posed.scales(log_scales), log_scales.exp() * posed.growths.exp())
    assert torch.equal(posed.pick(2).growths, posed.growths[2])


def test_gains_hold_for_growths_too():
    outputs, means, quats, skinning, _ = make_case(1, 5, 20, 1)
    outputs = torch.cat([outputs, torch.randn(1, 5, 3)], dim=2)
    _, (plain, *_) = differentiate(pose, outputs, means, quats, skinning)
    _, (tripled, *_) = differentiate(pose, outputs, means, quats, skinning, None, torch.tensor([3.0]))
    torch.testing.assert_close(tripled, 3 * plain)
    assert plain[..., 6:].abs().min() > 0
