import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffusion2.meshes.animation import compose_transform
from diffusion2.quaternions import multiply_quats, rotation_entries, rotation_matrices

NUMBERS = st.floats(-1, 1).filter(lambda x: abs(x) > 1e-3)
QUATS = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS).map(lambda q: torch.tensor(q, dtype=torch.float64))
EXACT = 1e-12  # the rounding of float64


@given(QUATS)
def test_a_quaternion_of_any_length_is_a_rotation(quat):
    matrix = rotation_matrices(quat)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3, dtype=torch.float64), atol=EXACT, rtol=0)
    assert abs(float(torch.linalg.det(matrix)) - 1) < EXACT
    torch.testing.assert_close(rotation_matrices(-3 * quat), matrix, atol=EXACT, rtol=0)


@given(QUATS, QUATS)
def test_a_product_turns_by_the_second_first(a, b):
    product = rotation_matrices(multiply_quats(a, b))
    expected = rotation_matrices(a) @ rotation_matrices(b)
    torch.testing.assert_close(product, expected, atol=EXACT, rtol=0)


def test_a_quarter_turn_about_the_vertical_brings_x_to_y():
    half = np.sqrt(0.5)
    entries = np.reshape(rotation_entries(half, 0.0, 0.0, half), (3, 3))
    np.testing.assert_allclose(entries @ [1, 0, 0], [0, 1, 0], atol=EXACT)


@given(QUATS)
def test_nodes_of_models_turn_as_gaussians_do(quat):
    w, x, y, z = quat.tolist()
    node = compose_transform(np.zeros(3), np.array([x, y, z, w]), np.ones(3))
    np.testing.assert_allclose(node[:3, :3], rotation_matrices(quat), atol=EXACT)


def test_quaternions_multiply_as_rotations_compose():
    half = 0.5**0.5
    about_x, about_z = torch.tensor([half, half, 0, 0]), torch.tensor([half, 0, 0, half])
    # y about x by 90 deg is z, which stays there about z: z = (x after z)·(0, y).
    both = multiply_quats(about_z, about_x)
    y = torch.tensor([0.0, 0, 1, 0])
    conjugate = both * torch.tensor([1.0, -1, -1, -1])
    turned = multiply_quats(multiply_quats(both, y), conjugate)
    torch.testing.assert_close(turned, torch.tensor([0.0, 0, 0, 1]), atol=1e-6, rtol=0)
