"""How long a step of a training takes on this machine, and how much memory it needs: tried out on a crop."""

import time
from dataclasses import dataclass

import torch

from ..engine.device import memory_told, pick_device, precision
from .companions import arguments
from .data import Batch
from .descent import Descent
from .objectives import OBJECTIVES
from .recipe import Recipe

BASE = 500_000_000
"""Bytes of a Python process that has loaded torch and what else a training imports."""
STATES = 5
"""Numbers kept for each weight: itself, its gradient, two moments of AdamW (Muon has one), its average."""


CURE = "Choose smaller crops, a smaller batch or a smaller network."


@dataclass(frozen=True)
class Cost:
    """``seconds`` a step; ``bytes`` of memory of the process, and of the GPU where there is one, without pictures."""

    seconds: float
    bytes: int


def try_step(recipe: Recipe, device: str = "auto") -> Cost:
    """Time the quickest of three steps, and count what autograd keeps for the way back.

    A CPU tries one crop, for it takes the crops of a batch one after the other anyway; a GPU tries a whole batch.
    Raises DenoiserError: too little memory.
    """
    device = pick_device(device)
    try:
        with memory_told(device, CURE):
            return timed(recipe.on(device), device)
    finally:
        if device.startswith("cuda"):
            torch.cuda.empty_cache()  # the training is another process


def timed(recipe: Recipe, device: str) -> Cost:
    kind, dtype = torch.device(device).type, precision(device)
    autocast = torch.autocast(kind, dtype, enabled=dtype != torch.float32)
    side, count = recipe.data.crop[0], 1 if kind == "cpu" else recipe.data.batch
    network = recipe.build().to(device, memory_format=torch.channels_last).train(not recipe.optimiser.freeze_norm)
    objective, options = OBJECTIVES[recipe.objective.name], arguments(recipe, device)
    generator = torch.Generator(device).manual_seed(0)
    clean = torch.rand(count, 3, side, side, generator=generator, device=device)
    noisy = (clean + 0.1 * torch.randn(clean.shape, generator=generator, device=device)).contiguous(
        memory_format=torch.channels_last
    )
    sigma = torch.full((count, 1, 1, 1), 0.1, device=device)
    batch = Batch(noisy, clean, sigma, clean, torch.ones_like(clean))
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    seconds = float("inf")
    for _ in range(3):
        kept = {}

        def keep(tensor, kept=kept):
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        began = time.perf_counter()
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            autocast,
        ):
            loss = objective(network, batch, 0.0, generator, **options)
        loss.backward()
        loss.item()  # a GPU works on by itself until it is asked
        seconds = min(seconds, time.perf_counter() - began)
    descent = Descent(network, recipe.optimiser)
    update = float("inf")
    for _ in range(2):
        began = time.perf_counter()
        with autocast:
            descent.step(0.0)
        if kind == "cuda":
            torch.cuda.synchronize()
        update = min(update, time.perf_counter() - began)
    activations = sum(size for place, size in kept.items() if place not in own)
    weights = 4 * STATES * sum(p.numel() for p in network.parameters())
    share = recipe.data.batch / count
    return Cost(seconds * share + update, round(BASE + weights + activations * share))
