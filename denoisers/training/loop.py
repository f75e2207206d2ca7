"""The training loop: plain PyTorch, restartable at any moment.

``train(recipe, data, run)`` follows one recipe (a TOML file beside this one) and keeps everything in
the run folder: ``checkpoint.pt`` (network, average, optimiser, step), ``events.jsonl`` (one line a
report) and, at the end, ``average.safetensors``. The checkpoint is replaced atomically, so a killed
run leaves the old one or the new one, never half of one.
"""

import json
import math
import os
import signal
import time
import tomllib
from pathlib import Path

import torch
from safetensors.torch import save_file

from ..networks.drunet import DRUNet
from .data import GaussianCrops, read_clean

NETWORKS = {"drunet": DRUNet}


def learning_rate(peak: float, progress: float, step: int, warmup: int) -> float:
    """Linear warm-up over ``warmup`` steps, then half a cosine down to 1/500 of the peak at progress 1."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return peak * min(1.0, (step + 1) / warmup) * max(cosine, 1 / 500)


class Average:
    """Exponential moving average of a network's weights (Polyak averaging), warmed up like timm's."""

    def __init__(self, network, decay: float):
        self.decay, self.weights = decay, {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network, step: int):
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1 - decay)
            else:
                self.weights[name].copy_(value)


def write_atomically(path: Path, save):
    part = path.with_suffix(".part")
    save(part)
    os.replace(part, path)


def train(recipe_file, data, run, minutes: float | None = None, threads: int | None = None, device: str = "cpu"):
    """Run a recipe to its end, or for ``minutes`` in all (earlier runs of the same folder included).

    Args:
        recipe_file: TOML with [network], [data], [optimiser] and [schedule].
        data: folder that holds the recipe's picture folders.
        run: run folder; a checkpoint found in it is continued.
        minutes: limit of training time; the schedule is then laid over time where that ends first.
    Returns the path of the averaged weights.
    """
    recipe = tomllib.loads(Path(recipe_file).read_text())
    run = Path(run)
    run.mkdir(parents=True, exist_ok=True)
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(recipe["seed"])
    net_args = {k: v for k, v in recipe["network"].items() if k != "name"}
    network = NETWORKS[recipe["network"]["name"]](**net_args).to(device, memory_format=torch.channels_last)
    o, s, d = recipe["optimiser"], recipe["schedule"], recipe["data"]
    optimiser = torch.optim.AdamW(network.parameters(), lr=o["lr"], betas=(0.9, 0.99), weight_decay=0.0)
    average = Average(network, o["ema"])
    step, seconds = 0, 0.0
    checkpoint = run / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True, map_location=device)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        average.weights = state["average"]
        step, seconds = state["step"], state["seconds"]

    pictures = read_clean([Path(data) / f for f in d["folders"]], d["crop"])
    if not pictures:
        raise FileNotFoundError(f"no picture of at least {d['crop']} pixels a side in {d['folders']} under {data}")
    sample = GaussianCrops(pictures, d["crop"], d["batch"], [v / 255 for v in d["sigma"]], recipe["seed"])

    def save():
        state = dict(network=network.state_dict(), optimiser=optimiser.state_dict(), average=average.weights)
        write_atomically(checkpoint, lambda p: torch.save({**state, "step": step, "seconds": seconds}, p))
        tensors = {k: v.contiguous() for k, v in average.weights.items()}
        write_atomically(run / "average.safetensors", lambda p: save_file(tensors, p))

    stop = []
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.append(True))
    saved = reported = time.monotonic()
    losses = []
    with (run / "events.jsonl").open("a", buffering=1) as events:
        while not stop:
            progress = max(step / s["steps"], seconds / (60 * minutes) if minutes else 0)
            if progress >= 1:
                break
            began = time.monotonic()
            rate = learning_rate(o["lr"], progress, step, s["warmup"])
            for group in optimiser.param_groups:
                group["lr"] = rate
            noisy, sigma, clean = (t.to(device) for t in sample(step))
            noisy = noisy.contiguous(memory_format=torch.channels_last)
            with torch.autocast(torch.device(device).type, torch.bfloat16):
                restored = network(noisy, sigma)
            loss = (restored.float() - clean).abs().mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), o["clip"])
            optimiser.step()
            average.update(network, step)
            losses.append(loss.item())
            step += 1
            now = time.monotonic()
            seconds += now - began
            if now - reported > 20:
                megapixels = step * clean.shape[0] * clean.shape[2] * clean.shape[3] / 1e6
                line = dict(step=step, seconds=round(seconds, 1), megapixels=round(megapixels, 1), lr=rate)
                events.write(json.dumps({**line, "loss": sum(losses) / len(losses)}) + "\n")
                losses, reported = [], now
            if now - saved > 120:
                save()
                saved = now
    save()
    return run / "average.safetensors"
