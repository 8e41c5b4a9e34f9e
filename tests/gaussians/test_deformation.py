from dataclasses import replace

import pytest
import torch

from diffusion2.errors import InputError
from diffusion2.gaussians import DeformationField, DeformationSettings
from diffusion2.gaussians.deformation import spread_nodes

SMALL = DeformationSettings(depth=3, width=16, position_frequencies=2, time_frequencies=3)


def disturb(field: DeformationField, seed: int = 0) -> DeformationField:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return field


def test_deformation_is_identity_at_initialisation():
    motion = DeformationField(SMALL)(torch.randn(7, 3), torch.linspace(0, 1, 5))
    assert torch.equal(motion.translations, torch.zeros(5, 7, 3))
    assert torch.equal(motion.rotations, torch.tensor([1.0, 0, 0, 0]).expand(5, 7, 4))


def test_deformation_gives_unit_rotations():
    motion = disturb(DeformationField(SMALL))(torch.randn(7, 3), torch.linspace(0, 1, 5))
    # float32: a handful of roundings of a sum of four squares.
    torch.testing.assert_close(motion.rotations.norm(dim=-1), torch.ones(5, 7), atol=1e-6, rtol=0)


def test_deformation_of_several_times_is_that_of_each():
    field, means, times = disturb(DeformationField(SMALL)), torch.randn(7, 3), torch.tensor([0.0, 0.3, 1.0])
    together = field(means, times)
    for index, time in enumerate(times):
        alone = field(means, time[None])
        torch.testing.assert_close(together.translations[index], alone.translations[0])
        torch.testing.assert_close(together.rotations[index], alone.rotations[0])


def test_deformation_is_continuous_in_time():
    field, means = disturb(DeformationField(SMALL)), torch.randn(7, 3)
    near = field(means, torch.tensor([0.5, 0.5 + 1e-4])).translations
    far = field(means, torch.tensor([0.5, 0.6])).translations
    assert (near[1] - near[0]).norm() < 0.01 * (far[1] - far[0]).norm() + 1e-3


def test_deep_deformation_sees_its_inputs_again_after_four_layers():
    deep = DeformationField(DeformationSettings(depth=8, width=16))
    assert list(deep.position_inputs) == list(deep.time_inputs) == ["0", "4"]
    assert len(deep.hidden) == 7
    motion = disturb(deep)(torch.randn(3, 3), torch.tensor([0.2]))
    assert motion.translations.shape == (1, 3, 3)


def test_time_may_enter_late():
    late = disturb(DeformationField(DeformationSettings(depth=4, width=16, time_layer=3)))
    assert list(late.time_inputs) == ["3"]
    motion = late(torch.randn(5, 3), torch.tensor([0.2, 0.9]))
    assert motion.translations.shape == (2, 5, 3)
    assert not torch.allclose(motion.translations[0], motion.translations[1])


def test_deformation_has_gradients_everywhere():
    field = disturb(DeformationField(DeformationSettings(depth=6, width=8)))
    means = torch.randn(3, 3, requires_grad=True)
    motion = field(means, torch.tensor([0.1, 0.9]))
    (motion.translations.square().sum() + motion.rotations[..., 1].sum()).backward()
    assert means.grad is not None
    assert means.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in field.parameters())


def test_a_constant_output_is_a_rigid_motion():
    """With the head's bias alone, all Gaussians turn by 90 deg about z and are lifted by 0.3."""
    field, means = DeformationField(SMALL), torch.randn(7, 3)
    with torch.no_grad():
        field.head.bias.copy_(torch.tensor([0, 0, 0.3, 0, 0, 1.0]))
    motion = field(means, torch.tensor([0.5]))
    moved = (means + motion.translations)[0]
    wanted = torch.stack([-means[:, 1], means[:, 0], means[:, 2] + 0.3], dim=1)
    torch.testing.assert_close(moved, wanted, atol=1e-6, rtol=0)
    half = 0.5**0.5
    torch.testing.assert_close(motion.rotations[0], torch.tensor([half, 0, 0, half]).expand(7, 4))


def with_nodes(count: int = 12) -> tuple[DeformationField, torch.Tensor]:
    means = torch.randn(40, 3, generator=torch.Generator().manual_seed(2))
    nodes = spread_nodes(means, count)
    field = DeformationField(replace(SMALL, nodes=count), nodes)
    return disturb(field), means


def test_a_field_with_nodes_moves_a_node_as_the_network_says_there():
    field, _ = with_nodes(1)
    alone = disturb(DeformationField(SMALL))
    alone.load_state_dict({k: v for k, v in field.state_dict().items() if k != "nodes"})
    times = torch.tensor([0.2, 0.8])
    ours, theirs = field(field.nodes, times), alone(field.nodes, times)
    torch.testing.assert_close(ours.translations, theirs.translations)
    torch.testing.assert_close(ours.rotations, theirs.rotations)


def test_a_field_with_nodes_is_the_identity_at_initialisation():
    means = torch.randn(40, 3)
    motion = DeformationField(replace(SMALL, nodes=9), spread_nodes(means, 9))(means, torch.rand(3))
    assert torch.equal(motion.translations, torch.zeros(3, 40, 3))


def test_a_field_looks_anew_what_to_follow_when_the_means_change():
    field, means = with_nodes()
    times = torch.tensor([0.5])
    first = field(means, times).translations
    means.add_(0.3)
    again = DeformationField(field.settings, field.nodes)
    again.load_state_dict(field.state_dict())
    assert not torch.equal(field(means, times).translations, first)
    assert torch.equal(field(means, times).translations, again(means, times).translations)


def test_nodes_are_spread_over_all_points():
    generator = torch.Generator().manual_seed(0)
    points = torch.cat([torch.rand(500, 3, generator=generator), torch.tensor([[9.0, 9, 9]])])
    nodes = spread_nodes(points, 50)
    assert len(nodes.unique(dim=0)) == 50
    away = torch.cdist(points, nodes).amin(1)
    # 50 balls of this radius would fill the unit cube; the lone point has a node of its own.
    assert float(away.max()) < 0.3
    assert len(spread_nodes(points[:3], 50)) == 3


def test_places_that_are_not_as_many_as_the_nodes_are_refused():
    with pytest.raises(InputError, match=r"4 nodes got places of shape \(3, 3\)"):
        DeformationField(replace(SMALL, nodes=4), torch.zeros(3, 3))


def test_a_field_may_let_gaussians_grow():
    field = DeformationField(replace(SMALL, scales=True))
    means, times = torch.randn(7, 3), torch.tensor([0.2, 0.8])
    assert torch.equal(field(means, times).growths, torch.zeros(2, 7, 3))
    disturb(field)
    out = field.outputs(means, times)
    torch.testing.assert_close(field(means, times).growths, out[..., 6:])
    assert DeformationField(SMALL)(means, times).growths is None


def test_whether_gaussians_grow_is_true_or_false():
    with pytest.raises(InputError, match="scales must be True or False, not 1"):
        replace(SMALL, scales=1)
