"""Muon: momentum steps of a weight matrix whose singular values are all made equal.

K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. In float32, where torch's own
always takes bfloat16, which some machines cannot multiply.
"""

import torch

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Quintic that drives singular values in (0, 1] to about 1 in five rounds."""


def orthogonalised(matrix):
    """About U V^T of matrix = U S V^T: singular values come out between 0.7 and 1.2."""
    a, b, c = NEWTON_SCHULZ
    x = matrix / (matrix.norm() + 1e-12)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


class Muon(torch.optim.Optimizer):
    """W <- W - lr orthogonalised(Nesterov momentum of the gradient), for square matrices."""

    def __init__(self, params, lr: float, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.grad, 1 - group["momentum"])
                p.sub_(orthogonalised(p.grad.lerp(mean, group["momentum"])), alpha=group["lr"])
