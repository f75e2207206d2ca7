"""Channels that have fallen silent begin anew.

A ReLU that never fires passes no gradient back, so no training wakes it: at high learning rates layers die channel
after channel, and the network shrinks unnoticed. Sokar, Agarwal, Castro, Evci, "The Dormant Neuron Phenomenon in Deep
Reinforcement Learning", ICML 2023 (arXiv 2302.12902): now and then the silent ones get new weights where they listen
and zeros where they are heard. The network answers as before, and they are free to learn.

A network says where by ``rectified()``: (convolution, its normalisation or None, the convolution that hears their
ReLU), None for the last where more than one layer does.
"""

import torch
from torch import nn

SILENT = 0.01
"""Mean of a channel behind its ReLU, as a share of its layer's, up to which it is silent."""
WATCHED = 25
"""Steps over which the mean is taken, the last before silent channels begin anew."""
SIZE = 2**0.5
"""Norm of the new weights of a channel, as He et al. begin them (arXiv 1502.01852)."""
FAINT = 0.03
"""Size of the new weights, as a share of the usual one, where a channel cannot begin unheard."""


class Recycling:
    """Watches a network while it trains, and every so many steps begins its silent channels anew.

    Args: the network; ``loop.Average``, which is told the new weights too; steps from one time to the next, 0 for
    never; what replaces tensors by their means over all processes.
    """

    def __init__(self, network, average, every: int, mean):
        self.units = list(network.rectified()) if every and hasattr(network, "rectified") else []
        self.names = {module: name for name, module in network.named_modules()}
        self.average, self.every, self.mean = average, every, mean
        self.hooks, self.heard, self.fired = [], [], []

    def __call__(self, step: int) -> int:
        """To be called after each step; returns how many channels began anew."""
        if not self.units:
            return 0
        left = -step % self.every
        if left == min(WATCHED, self.every - 1) and not self.hooks:
            self.watch()
        return self.begin_anew(step) if left == 0 and self.hooks else 0

    def state_dict(self) -> dict:
        """What was seen since the watch began."""
        return {"heard": self.heard, "fired": self.fired} if self.hooks else {}

    def load_state_dict(self, state: dict):
        if state:
            self.watch(**state)

    def watch(self, heard=None, fired=None):
        """From now on, or on from what was seen before."""
        nothing = [0.0] * len(self.units)
        self.heard, self.fired = heard or nothing.copy(), fired or nothing.copy()

        def hear(means, index):
            def hook(_, inputs):
                means[index] += inputs[0].detach().float().mean((0, 2, 3))

            return hook

        def answer(index):
            def hook(_, inputs, output):
                self.fired[index] += output.detach().float().relu().mean((0, 2, 3))

            return hook

        for index, (conv, norm, after) in enumerate(self.units):
            self.hooks.append(conv.register_forward_pre_hook(hear(self.heard, index)))
            if after is not None:
                self.hooks.append(after.register_forward_pre_hook(hear(self.fired, index)))
            else:
                self.hooks.append((norm or conv).register_forward_hook(answer(index)))

    def silent(self) -> list:
        """Which channels are, a mask for each of the network's ReLUs."""
        return [fired <= SILENT * fired.mean() for fired in self.fired]

    @torch.no_grad()
    def begin_anew(self, step: int) -> int:
        for hook in self.hooks:
            hook.remove()
        self.hooks, count = [], 0
        generator = torch.Generator().manual_seed(step)
        self.mean([*self.heard, *self.fired])
        for unit, heard, silent in zip(self.units, self.heard, self.silent(), strict=True):
            if silent.any():
                self.renew(*unit, silent, heard, generator)
                count += int(silent.sum())
        return count

    def renew(self, conv, norm, after, silent, heard, generator):
        """New rows, each blind to the mean of what the convolution hears: their ReLUs fire for about half of it."""
        rows = torch.randn(conv.weight[silent].shape, generator=generator).to(conv.weight)
        mean = heard[:, None, None].expand_as(rows[0]).flatten()
        flat = rows.flatten(1)
        flat = flat - (flat @ mean)[:, None] * mean / mean.dot(mean).clamp(min=1e-12)
        rows = (flat / flat.norm(dim=1, keepdim=True)).view_as(rows) * (SIZE if after else SIZE * FAINT)
        self.set(conv, "weight", (silent,), rows)
        if conv.bias is not None:
            self.set(conv, "bias", (silent,), 0 if norm is None else norm.running_mean[silent])
        if norm is not None:
            self.set(norm, "weight", (silent,), 1)
            self.set(norm, "bias", (silent,), 0)
        if after is not None:
            transposed = isinstance(after, nn.ConvTranspose2d)
            self.set(after, "weight", (silent,) if transposed else (slice(None), silent), 0)

    def set(self, module, name: str, where: tuple, value):
        """The same entries of a module's tensor and of its average."""
        for tensor in (getattr(module, name), self.average.weights[f"{self.names[module]}.{name}"]):
            tensor[where] = value
