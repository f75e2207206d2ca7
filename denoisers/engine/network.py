"""How a network meets a picture: padding, tiles, precision, memory."""

from collections.abc import Callable
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count, pairwise

import numpy as np

from ..images import is_grey
from ..run import Run
from .device import out_of_memory, precision
from .tiles import tiled

LARGEST = 768
"""Side of the largest tiles, pixels: larger ones are no faster."""
BUDGET = 420e6
"""Bytes that the activations of one tile may take."""
SMALL = 256
"""Side of the piece of a picture from which a network's need of memory is read."""

LAYER: ContextVar[Callable[[], None]] = ContextVar("LAYER", default=lambda: None)
"""What is called before each layer of the network that this thread runs; Cancelled stops it."""


@contextmanager
def watched(call: Callable[[], None]):
    """Within it ``call`` is made before each layer of the networks that this thread runs."""
    before = LAYER.set(call)
    try:
        yield
    finally:
        LAYER.reset(before)


def make_stoppable(network):
    """Let every layer ask whether its run was cancelled, and tell of it: a tile takes seconds on a CPU, a layer does
    not.

    Networks are shared between threads, so the hooks look up in the thread's context what to call.
    """
    for module in network.modules():
        if not list(module.children()):
            module.register_forward_pre_hook(lambda *_: LAYER.get()())


def fold_norms(network):
    """Make each batch normalisation behind a convolution part of it, in place: with fixed statistics the two are one.

    ``network`` is in eval mode; only neighbours in an ``nn.Sequential`` are found.
    """
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for chain in network.modules():
        if isinstance(chain, nn.Sequential):
            for i, (conv, norm) in enumerate(pairwise(chain)):
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    chain[i], chain[i + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()


def counted(run: Run, layers: int) -> Callable[[], None]:
    """What tells ``run`` before each of so many layers how far they are."""
    calls = count()
    return lambda: run.step(min(next(calls) / layers, 0.99))


def run_network(network, image, run: Run, *, device="cpu", budget=None, **inputs) -> np.ndarray:
    """A network's answer to a whole picture, within a memory budget.

    Args:
        network: module on ``device``; ``network(x, **inputs)`` maps 1 x C x h x w to the same, for h and w
            multiples of ``network.multiple`` and C = ``network.colours``. One that pools globally says in
            ``network.averages`` how many averages it takes, and finds them with ``network.to_average``.
        image: H x W x C float32; any H, W from 1. A colour picture meets a grey network channel by channel. A grey
            picture meets a colour network as three equal channels, and one that is told ``sigma`` hears sqrt(3) times
            as much: to a network that knows noise as independent in each channel, equal noise in all three is a colour
            noise so much stronger.
            ``network.margin``, 32 by default, is how far it effectively looks, pixels.
        budget: bytes the activations of one tile may take, BUDGET by default. When the device runs out, tiles of half
            the side are tried.

    Returns H x W x C float32, equal to one whole pass within 1/255. Raises Cancelled; and what torch raises, when the
    smallest tile is too much.
    """
    import torch
    from torch.nn.functional import pad

    channels = image.shape[-1]
    if network.colours == 1 and channels == 3:
        given = dict(device=device, budget=budget, **inputs)
        thirds = [run_network(network, image[..., i : i + 1], run.part(i / 3, (i + 1) / 3), **given) for i in range(3)]
        return np.concatenate(thirds, -1)
    grey = network.colours == 3 and is_grey(image)
    if grey:
        image = np.broadcast_to(image[..., :1], (*image.shape[:2], 3))
        if "sigma" in inputs:
            inputs["sigma"] *= 3**0.5
    budget = budget or BUDGET
    multiple, kind = network.multiple, torch.device(device).type
    dtype = precision(device)
    grid = getattr(network, "grid", multiple)
    margin = -(-getattr(network, "margin", 32) // multiple) * multiple

    def arithmetic():
        return torch.autocast(kind, dtype, enabled=dtype != torch.float32)

    def padded(tile):
        height, width, _ = tile.shape
        x = torch.from_numpy(np.ascontiguousarray(tile.transpose(2, 0, 1)))[None].to(device)
        down, right = -height % multiple, -width % multiple
        mode = "reflect" if height > down and width > right else "replicate"
        return pad(x, (0, right, 0, down), mode=mode).contiguous(memory_format=torch.channels_last)

    def restore(tile, run):
        height, width, _ = tile.shape
        with torch.inference_mode(), arithmetic(), watched(counted(run, layers)):
            y = network(padded(tile), **inputs)
        return y[0, :, :height, :width].float().permute(1, 2, 0).cpu().numpy()

    def bytes_per_pixel(side):
        """Of this network in this arithmetic, watched once on a piece of the picture."""
        from .memory import Memory

        known = vars(network).setdefault("footprint", {})
        if dtype not in known:
            small = padded(image[:side, :side])
            with torch.no_grad(), arithmetic(), watched(run.poll), Memory() as memory:
                network(small, **inputs)
            known[dtype] = memory.peak / small[0, 0].numel()
        return known[dtype]

    def global_averages(side, run):
        """Averages over the whole picture, for all its tiles. Without overlap: a seam is a small part of a mean."""
        corners = [(y, x) for y in range(0, image.shape[0], side) for x in range(0, image.shape[1], side)]
        known = []
        for _ in range(network.averages):
            average = 0
            for i, (y, x) in enumerate(corners):
                run.step((len(known) + i / len(corners)) / network.averages)
                tile = image[y : y + side, x : x + side]
                height, width, _ = tile.shape
                with torch.inference_mode(), arithmetic(), watched(run.poll):
                    maps = network.to_average(padded(tile), known)[..., :height, :width]
                average += maps.float().mean((2, 3)) * (height * width / image[..., 0].size)
            known.append(average)
        return known

    layers, most = sum(not list(module.children()) for module in network.modules()), LARGEST
    while True:
        side, tiling = min(SMALL, most), run
        try:
            if max(image.shape) > side:
                side = min(int((budget / bytes_per_pixel(side)) ** 0.5), most)
            if hasattr(network, "averages") and max(image.shape) > side:
                inputs["averages"] = global_averages(max(side // grid, 1) * grid, run.part(0, 0.4))
                tiling = run.part(0.4, 1)
            restored = tiled(image, restore, tiling, tile=side, margin=margin, multiple=grid, even=True)
            return np.repeat(restored.mean(-1, keepdims=True), channels, -1) if grey else restored
        except RuntimeError as error:
            if not out_of_memory(error) or side <= 128:
                raise
            most = side // 2
            if kind == "cuda":
                torch.cuda.empty_cache()
