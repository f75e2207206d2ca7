"""Muon: momentum steps of a weight matrix whose singular values are all made equal.

K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. In the precision of its surroundings,
where torch's own always takes bfloat16, which some machines cannot multiply.
"""

import torch

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Quintic that drives singular values in (0, 1] to about 1."""


def orthogonalised(matrices, rounds: int):
    """About U V^T of each U S V^T in N x m x n: large singular values become about 1, tiny ones grow 3.4 times a
    round."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-12)
    for _ in range(rounds):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """W <- W - lr orthogonalised(Nesterov momentum of the gradient), for matrices of one shape a parameter group.

    Args: the matrices or groups of them; learning rate: the size of a step's singular values; momentum; rounds of the
    quintic, 5 as published.
    """

    def __init__(self, params, lr: float, momentum: float = 0.95, rounds: int = 5):
        super().__init__(params, {"lr": lr, "momentum": momentum, "rounds": rounds})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            gradients = torch.stack([p.grad for p in group["params"]])
            mean = self.state[group["params"][0]].setdefault("mean", torch.zeros_like(gradients))
            mean.lerp_(gradients, 1 - group["momentum"])
            steps = orthogonalised(gradients.lerp(mean, group["momentum"]), group["rounds"])
            torch._foreach_add_(group["params"], list(steps.to(mean.dtype)), alpha=-group["lr"])
