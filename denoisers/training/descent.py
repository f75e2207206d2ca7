"""How the weights of a network step: AdamW, or Muon for the kernels of its inner layers and AdamW for the rest."""

from itertools import groupby

import torch

from ..muon import Muon

CONVOLUTIONS = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
ENDS = 4
"""Layers with so few channels on a side begin or end the network: their kernels are left to AdamW."""
ADAMW_STEP = 0.2
"""Root mean square of AdamW's usual step, as a share of its learning rate."""


def matrix(kernel):
    """A channels_last tensor a x b x h x w as the matrix a x (h w b), in the same memory."""
    return kernel.detach().permute(0, 2, 3, 1).flatten(1)


class Descent:
    """The optimisers of a channels_last network, as one.

    With ``name`` "muon" the steps are scaled to the size of AdamW's (Liu et al., "Muon is Scalable for LLM Training",
    arXiv 2502.16982, section 2.2), so that one learning rate serves both.

    Args: the network; ``recipe.Optimiser``.
    """

    def __init__(self, network, options):
        kernels = [m.weight for m in network.modules() if isinstance(m, CONVOLUTIONS)]
        kernels = [k for k in kernels if min(k.shape[:2]) > ENDS] if options.name == "muon" else []
        self.kernels = sorted(kernels, key=lambda k: (len(k), k[0].numel()))
        self.matrices = [matrix(k) for k in self.kernels]
        inner = {id(k) for k in self.kernels}
        rest = [p for p in network.parameters() if id(p) not in inner]
        self.adamw = torch.optim.AdamW(rest, lr=options.lr, betas=options.betas, weight_decay=options.weight_decay)
        self.decay = options.weight_decay
        self.muon = None
        if self.matrices:
            groups = [
                {"params": list(group), "scale": ADAMW_STEP * max(shape) ** 0.5}
                for shape, group in groupby(self.matrices, key=lambda m: m.shape)
            ]
            self.muon = Muon(groups, options.lr)

    def step(self, rate: float):
        """One step at a learning rate, with the gradients that the network holds."""
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()
        if self.muon:
            for m, kernel in zip(self.matrices, self.kernels, strict=True):
                m.grad = matrix(kernel.grad)
            for group in self.muon.param_groups:
                group["lr"] = rate * group["scale"]
            if self.decay:
                torch._foreach_mul_(self.matrices, 1 - rate * self.decay)
            self.muon.step()

    def state_dict(self) -> dict:
        return {"adamw": self.adamw.state_dict()} | ({"muon": self.muon.state_dict()} if self.muon else {})

    def load_state_dict(self, state: dict):
        """The state of another optimiser, which an older run may hold, is left: this one begins anew."""
        if set(state) == set(self.state_dict()):
            self.adamw.load_state_dict(state["adamw"])
            if self.muon:
                self.muon.load_state_dict(state["muon"])
