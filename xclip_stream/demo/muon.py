"""Muon: momentum whose matrices are made orthogonal before each step (Jordan et al. 2024)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """For matrices inside a network. Matrices of one shape are orthogonalised together, in single precision."""

    def __init__(self, groups: Iterable[dict[str, Any]], *, momentum: float = 0.95) -> None:
        super().__init__(groups, {"lr": 0.02, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure is ever needed here
        """Take one step with the gradients at hand."""
        del closure
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in by_shape.items():
                momenta = [self._momentum(parameter, group["momentum"]) for parameter in parameters]
                updates = orthogonalise(torch.stack(momenta))
                scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.add_(update, alpha=-scale)

    def _momentum(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        """Nesterov's momentum of one matrix, updated in place."""
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        buffer: Tensor = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
        buffer.lerp_(gradient, 1.0 - momentum)
        return gradient.lerp(buffer, momentum)


def orthogonalise(matrices: Tensor, *, steps: int = 5) -> Tensor:
    """The nearest matrices (n, rows, columns) with singular values about one, by a quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    nearest: Tensor = x.mT if tall else x
    return nearest
