"""Muon for matrices and kernels, AdamW for the rest; the running average of the weights.

Sources: Jordan et al., "Muon: an optimizer for hidden layers" (2024), for the orthogonalised
momentum; Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models" (2024),
eq. 3 of section 3, for the power-function average.
"""

import torch
from torch import Tensor, nn

from diffusion2.priors.devices import choose_dtype

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """Find about the nearest matrices (..., n, m) with orthogonal rows or columns, by Newton-Schulz steps.

    Singular values end between about 0.7 and 1.2, which serves an optimiser as well as 1 would. Computes in
    bfloat16 where the processor has it, else in float32.
    """
    x = matrices.to(choose_dtype("auto", matrices.device.type))
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    x = _iterate_gram(x, steps) if x.dtype == torch.float32 else _iterate(x, steps)
    return (x.mT if tall else x).to(matrices.dtype)


def _iterate(x: Tensor, steps: int) -> Tensor:
    """Iterate the matrices themselves, which bears rounding at every step."""
    a, b, c = NEWTON_SCHULZ
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x


def _iterate_gram(x: Tensor, steps: int) -> Tensor:
    """Iterate the small square matrices x xᵀ, and multiply the wide ones once.

    Each step multiplies x from the left with a polynomial p of its Gram matrix g, which becomes p g p. In
    float32 alone: rounding makes g's smallest eigenvalues negative, and each step multiplies those by 12.
    """
    a, b, c = NEWTON_SCHULZ
    gram = x @ x.mT
    product = identity = torch.eye(gram.shape[-1], dtype=x.dtype, device=x.device)
    for step in range(steps):
        polynomial = a * identity + b * gram + c * (gram @ gram)
        product = polynomial @ product if step else polynomial
        if step < steps - 1:
            gram = polynomial @ gram @ polynomial
    return product @ x


class MuonAdamW(torch.optim.Optimizer):
    """Orthogonalised momentum on weights of two or more axes, AdamW on gains, biases and factors.

    Args:
        network: whose parameters are trained; names are the keys of its state.
        matrix_rate: step size of a matrix, as the root mean square of its orthogonal update.
        vector_rate: AdamW's rate for everything else.
        momentum: of the matrices' gradients.
    """

    def __init__(
        self, network: nn.Module, matrix_rate: float, vector_rate: float = 2e-3, momentum: float = 0.95
    ) -> None:
        matrices = [p for p in network.parameters() if p.requires_grad and p.ndim >= 2]
        vectors = [p for p in network.parameters() if p.requires_grad and p.ndim < 2]
        groups = [
            {"params": matrices, "rate": matrix_rate, "matrix": True},
            {"params": vectors, "rate": vector_rate, "matrix": False},
        ]
        super().__init__(groups, {"momentum": momentum, "betas": (0.9, 0.99), "factor": 1.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step with the gradients at hand."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            for parameter in parameters:
                self._begin(parameter, matrix=group["matrix"])
            rate = group["rate"] * group["factor"]
            if group["matrix"]:
                self._step_matrices(parameters, rate, group["momentum"])
            else:
                for parameter in parameters:
                    self._step_vector(parameter, self.state[parameter], rate, group["betas"])

    def _begin(self, parameter: Tensor, *, matrix: bool) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["first"] = torch.zeros_like(parameter)
            if not matrix:
                state["second"] = torch.zeros_like(parameter)
        state["step"] += 1

    def _step_matrices(self, parameters: list[Tensor], rate: float, momentum: float) -> None:
        by_shape: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
        for parameter in parameters:
            gradient, first = parameter.grad, self.state[parameter]["first"]
            assert gradient is not None
            first.lerp_(gradient, 1 - momentum)
            update = gradient.lerp(first, momentum).reshape(parameter.shape[0], -1)
            by_shape.setdefault((update.shape[0], update.shape[1]), []).append((parameter, update))
        # Matrices of one shape go together: a network has many small ones.
        for (rows, columns), members in by_shape.items():
            updates = orthogonalize(torch.stack([update for _, update in members]))
            for (parameter, _), update in zip(members, updates, strict=True):
                parameter.add_(update.view_as(parameter), alpha=-rate * max(1.0, rows / columns) ** 0.5)

    @staticmethod
    def _step_vector(
        parameter: Tensor, state: dict[str, Tensor], rate: float, betas: tuple[float, float]
    ) -> None:
        gradient = parameter.grad
        assert gradient is not None
        state["first"].lerp_(gradient, 1 - betas[0])
        state["second"].lerp_(gradient.square(), 1 - betas[1])
        step = float(state["step"])
        first = state["first"] / (1 - betas[0] ** step)
        second = state["second"] / (1 - betas[1] ** step)
        parameter.add_(first / (second.sqrt() + 1e-8), alpha=-rate)


class PowerAverage:
    """Running average of a network's weights in which old ones fade with a power of time.

    Args:
        network: whose weights are averaged.
        exponent: larger is a shorter memory; 48 keeps about the last fiftieth of all steps. A rate that falls
            to zero averages, too, and a long memory lets a short call measure mostly what it began with.
    """

    def __init__(self, network: nn.Module, exponent: float = 48.0) -> None:
        self.exponent = exponent
        self.weights = {name: p.detach().clone() for name, p in network.named_parameters()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after step `step`, counted from 1."""
        keep = (1 - 1 / step) ** (self.exponent + 1)
        for name, parameter in network.named_parameters():
            self.weights[name].lerp_(parameter, 1 - keep)
