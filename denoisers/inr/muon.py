"""Muon: momentum steps of a weight matrix whose singular values are all made equal.

K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. In float32, where torch's own
always takes bfloat16, which some machines cannot multiply.
"""

import torch

NEWTON_SCHULZ, ROUNDS = (3.4445, -4.7750, 2.0315), 3
"""Quintic that drives singular values in (0, 1] to about 1, and how often it is applied."""


def orthogonalised(matrices):
    """About U V^T of each U S V^T in N x n x n: large singular values become about 1, tiny ones grow fortyfold."""
    a, b, c = NEWTON_SCHULZ
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-12)
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


class Muon(torch.optim.Optimizer):
    """W <- W - lr orthogonalised(Nesterov momentum of the gradient), for square matrices of one size."""

    def __init__(self, params, lr: float, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            gradients = torch.stack([p.grad for p in group["params"]])
            mean = self.state[group["params"][0]].setdefault("mean", torch.zeros_like(gradients))
            mean.lerp_(gradients, 1 - group["momentum"])
            steps = orthogonalised(gradients.lerp(mean, group["momentum"]))
            torch._foreach_add_(group["params"], list(steps), alpha=-group["lr"])
