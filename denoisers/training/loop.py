"""The training loop: plain PyTorch, restartable at any moment, on one device or several.

``train(recipe, data, run)`` keeps everything in the run folder:

    recipe.json         what is trained
    checkpoint.pt       network, average, optimisers, step; replaced atomically, so a killed run leaves a whole one
    average.safetensors the averaged weights, what inference loads, and with them the noise and the recipe's start
    events.jsonl        one JSON object a line, see below
    previews/           noisy, restored and clean crops of the validation, side by side
    stop                if this file appears, the training saves and ends, as on SIGTERM

Events have ``event``, ``time``, and mostly ``step`` and ``seconds`` trained. problem: path, reason, of a file left out;
start: recipe, parameters, steps, minutes, device, noisy (psnr and ssim of the held-back pictures as they are); train:
loss, lr, pictures_per_second (crops), megapixels seen, progress; validation: psnr, ssim, preview, the first one
untrained; recycled: channels, how many began anew; default: the same as validation of the method's default weights,
and weights, their name; end: reason ("finished", "stopped"), megapixels, date. A training that was killed goes on from
an earlier step than it has told last: its next start says from which.

Several processes (``torchrun --nproc-per-node N -m denoisers train ...``) share every batch; each averages its
gradients with the others, and the first writes the files.
"""

import json
import math
import os
import sys
import threading
import time
from datetime import date
from pathlib import Path

import torch
from torch import distributed

from ..errors import DenoiserError, WeightsError
from ..events import Events, stopped_by_signals, write_atomically
from .companions import arguments
from .data import Crops
from .descent import Descent
from .folders import first as told
from .objectives import OBJECTIVES
from .recipe import Recipe, parse
from .recycle import Recycling
from .sources import open_data
from .validation import Validation

REPORT_EVERY = 2.0
"""Seconds between two "train" events."""
SAVE_EVERY = 30.0
"""Seconds between two checkpoints: what a training that is killed loses at most."""


class Diverged(DenoiserError):
    """The loss is no longer a number."""


def learning_rate(recipe: Recipe, progress: float, step: int) -> float:
    """The rate at a step: linear warm-up, then half a cosine down to 1/500 of the peak, or steps down."""
    schedule, peak = recipe.schedule, recipe.optimiser.lr
    if schedule.shape == "cosine":
        factor = max(0.5 * (1 + math.cos(math.pi * min(progress, 1.0))), 1 / 500)
    elif schedule.shape == "step":
        factor = schedule.factor ** sum(progress >= m for m in schedule.milestones)
    else:
        factor = 1.0
    return peak * min(1.0, (step + 1) / max(schedule.warmup, 1)) * factor


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


class Team:
    """The processes that train together: one, or as many as torchrun started."""

    def __init__(self, device: str):
        self.rank, self.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        self.device = f"cuda:{os.environ['LOCAL_RANK']}" if self.world > 1 and device.startswith("cuda") else device
        if self.world > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if self.device.startswith("cuda") else "gloo")

    def mean(self, tensors):
        """Replace each tensor by its mean over the processes."""
        if self.world > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)
                tensor /= self.world

    def agree(self, *values: float) -> list[float]:
        """The first process's numbers, for all: they must take the same decisions."""
        if self.world == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.broadcast(tensor, 0)
        return tensor.tolist()

    def leave(self):
        """Ends the connections. Left to the end of the process, their threads now and then abort it."""
        if self.world > 1:
            distributed.destroy_process_group()


def begun(recipe: Recipe, run: Path, device: str) -> Recipe:
    """A recipe on a device, but with the network of the size that the run began with, maybe on another device.

    Raises DenoiserError: the run trains another network than this recipe's, or on something else.
    """
    kept = parse(json.loads((run / "recipe.json").read_text()))
    before, now = (facts.model_dump(mode="json") for facts in (kept, recipe))
    if kept.network not in [recipe.on(kind).model_dump(mode="json")["network"] for kind in ("cpu", "cuda")]:
        raise DenoiserError(f"{run} holds a training of another network than the recipe's: name another folder.")
    for facts in (before, now):
        facts["data"] = [facts["data"][folders] for folders in ("clean", "pairs", "noisy_pairs", "noisy")]
    if other := [part for part in ("data", "noise", "objective", "start") if before[part] != now[part]]:
        raise DenoiserError(
            f"{run} holds a training with another {' and '.join(other)} than the recipe's: name another folder."
        )
    return recipe.on(device).model_copy(update={"network": kept.network})


def train(
    recipe: Recipe,
    data,
    run,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    device: str = "auto",
    threads: int | None = None,
) -> Path:
    """Run a recipe to its end, or for ``minutes`` in all.

    Args:
        recipe: from ``recipe.load``; a GPU takes its ``gpu`` values.
        data: folder below which the recipe's folders lie.
        run: run folder, made if need be.
        minutes: limit of training time, earlier parts of a resumed run included; where it ends before the
            recipe's steps, the schedule is laid over the time instead.
        steps: in place of the recipe's.
        resume: continue the checkpoint in ``run``; without one, start. If not set, ``run`` must hold none.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        threads: CPU threads of the network; torch's choice if None.

    Returns the path of the averaged weights. Raises DenoiserError: bad data, a run folder in use, a loss that is
    not a number. SIGTERM and Ctrl-C save and end it like a limit reached.
    """
    from safetensors.torch import save_file

    from ..engine.device import pick_device, precision

    run = Path(run)
    run.mkdir(parents=True, exist_ok=True)
    checkpoint = run / "checkpoint.pt"
    if checkpoint.exists() and not resume:
        raise DenoiserError(f"{run} already holds a training: continue it with --resume, or name another folder.")
    if threads:
        torch.set_num_threads(threads)
    team = Team(pick_device(device))
    device = team.device
    recipe = begun(recipe, run, device) if checkpoint.exists() else recipe.on(device)
    kind, dtype = torch.device(device).type, precision(device)
    total = steps or recipe.schedule.steps

    autocast = torch.autocast(kind, dtype, enabled=dtype != torch.float32)

    torch.manual_seed(recipe.seed)
    o = recipe.optimiser
    network = recipe.build().to(device, memory_format=torch.channels_last).train(not o.freeze_norm)
    descent = Descent(network, o)
    average = Average(network, o.ema)
    recycling = Recycling(network, average, o.recycle, team.mean)
    options = arguments(recipe, device)
    critic = options.get("critic")
    step, seconds, pixels = 0, 0.0, 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True, map_location=device)
        network.load_state_dict(state["network"])
        descent.load_state_dict(state["optimiser"])
        average.weights = state["average"]
        if critic:
            critic.load_state_dict(state["critic"])
        recycling.load_state_dict(state.get("recycling", {}))
        step, seconds, pixels = state["step"], state["seconds"], state["pixels"]

    first = team.rank == 0
    events = Events(run / "events.jsonl" if first else None)
    sources, held_back, problems = open_data(recipe, data, cache=run)
    for problem in problems:
        events.write("problem", path=str(problem.path), reason=problem.reason)
    if first:
        count = sum(len(source.pictures) for source, _ in sources)
        said = f"{count} pictures to train on, {len(held_back)} held back to validate with."
        print(f"{said}{f' Left out:{told(problems)}' if problems else ''}", file=sys.stderr)
    d = recipe.data
    makers = 2 if kind == "cpu" else max(2, (os.cpu_count() or 2) // team.world - 1)  # a GPU leaves the cores to them
    crops = Crops(
        sources, d.crop, d.batch * team.world, recipe.seed, team.rank, team.world, d.sigma_jitter, d.grey, makers
    )
    validation = Validation(recipe, held_back, run / "previews", device)
    objective = OBJECTIVES[recipe.objective.name]

    def save():
        if first:
            state = dict(network=network.state_dict(), optimiser=descent.state_dict(), average=average.weights)
            state |= dict(step=step, seconds=seconds, pixels=pixels)
            state |= dict(recycling=recycling.state_dict())
            state |= dict(critic=critic.state_dict()) if critic else {}
            write_atomically(checkpoint, lambda part: torch.save(state, part))
            tensors = {k: v.contiguous() for k, v in average.weights.items()}
            origin = {"noise": recipe.kind} | ({"start": recipe.start} if recipe.start else {})
            write_atomically(run / "average.safetensors", lambda part: save_file(tensors, part, metadata=origin))

    def validate():
        if first and validation:
            scores = validation(average.weights, step)
            events.write("validation", step=step, seconds=round(seconds, 1), **scores)

    if first:
        write_atomically(run / "recipe.json", lambda part: part.write_text(recipe.model_dump_json(indent=1)))
    count = sum(p.numel() for p in network.parameters())
    facts = dict(recipe=recipe.name, parameters=count, steps=total, minutes=minutes, device=device)
    events.write("start", step=step, seconds=round(seconds, 1), noisy=validation.noisy(), **facts)
    stop = threading.Event()
    with stopped_by_signals(stop):
        if step == 0:
            validate()
        saved = reported = time.monotonic()
        losses, seen = [], 0
        while True:
            asked = stop.is_set() or (run / "stop").exists()
            progress = max(step / total, seconds / (60 * minutes) if minutes else 0)
            progress, asked = team.agree(progress, asked)
            if progress >= 1 or asked:
                break
            began = time.monotonic()
            rate = learning_rate(recipe, progress, step)
            batch = crops(step).to(device)
            batch.noisy = batch.noisy.contiguous(memory_format=torch.channels_last)
            generator = torch.Generator(device).manual_seed(recipe.seed + 1_000_003 * step + team.rank)
            with autocast:
                loss = objective(network, batch, progress, generator, **options)
            network.zero_grad(set_to_none=True)
            loss.backward()
            gradients = [p.grad for p in network.parameters() if p.grad is not None]
            team.mean([*gradients, value := loss.detach()])
            if not math.isfinite(value.item()):
                raise Diverged(f"The loss became {value.item()} at step {step}: try a lower learning rate.")
            torch.nn.utils.clip_grad_norm_(network.parameters(), o.clip)
            with autocast:
                descent.step(rate)
            if critic:
                critic.learn(batch.clean, rate, team.mean)
            average.update(network, step)
            losses.append(value.item())
            step += 1
            if anew := recycling(step):
                events.write("recycled", step=step, channels=anew)
            seen += len(batch.noisy) * team.world
            pixels += batch.noisy[:, 0].numel() * team.world
            now = time.monotonic()
            seconds += now - began
            if now - reported > REPORT_EVERY or step == total:
                events.write(
                    "train",
                    step=step,
                    seconds=round(seconds, 1),
                    loss=sum(losses) / len(losses),
                    lr=rate,
                    pictures_per_second=round(seen / (now - reported), 2),
                    megapixels=round(pixels / 1e6, 2),
                    progress=round(progress, 4),
                )
                losses, seen, reported = [], 0, now
            if step % recipe.schedule.validate_every == 0:
                validate()
            if now - saved > SAVE_EVERY:
                save()
                saved = now
    save()
    validate()
    reason = "finished" if progress >= 1 else "stopped"
    if first and validation and reason == "finished":
        try:
            if scores := validation.default():
                events.write("default", **scores)
        except WeightsError as error:  # the training itself is finished
            print(f"Not compared with Grainwise's own weights: {error}", file=sys.stderr)
    end = dict(step=step, seconds=round(seconds, 1), megapixels=round(pixels / 1e6, 2), date=f"{date.today()}")
    events.write("end", reason=reason, **end)
    (run / "stop").unlink(missing_ok=True)
    team.leave()
    return run / "average.safetensors"
