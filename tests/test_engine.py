"""Tiled answers equal whole ones."""

import ast
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

import denoisers
from denoisers import networks, run
from denoisers.engine import tiles
from denoisers.engine.memory import Memory
from denoisers.engine.network import fold_norms, make_stoppable, run_network
from denoisers.errors import Cancelled, DenoiserError
from denoisers.run import Run
from tests.parameters import asked


@pytest.mark.parametrize("length", [1, 7, 100, 101, 513, 1000])
@pytest.mark.parametrize(("tile", "margin", "multiple"), [(96, 8, 1), (128, 16, 8), (200, 24, 16)])
def test_ramps_sum_to_one_and_tiles_cover(length, tile, margin, multiple):
    starts = tiles.tile_starts(length, tile, 2 * margin + 8, multiple)
    total = np.zeros(length)
    for start, ramp in zip(starts, tiles.blend_ramps(length, starts, tile, margin), strict=True):
        assert start % multiple == 0
        total[start : start + len(ramp)] += ramp
    np.testing.assert_allclose(total, 1, atol=1e-5)


def test_identity_survives_tiling():
    image = np.random.default_rng(0).random((301, 517, 3), np.float32)
    np.testing.assert_allclose(tiles.tiled(image, lambda t, _: t, Run(), tile=96, margin=8), image, atol=1e-6)


@pytest.mark.parametrize("length", [90, 100, 101, 513, 1000])
@pytest.mark.parametrize(("tile", "overlap", "multiple"), [(96, 24, 1), (128, 40, 8), (736, 224, 256)])
def test_even_tiles_are_as_few_and_smaller(length, tile, overlap, multiple):
    least = tiles.least_tile(length, tile, overlap, multiple)
    starts = tiles.tile_starts(length, least, overlap, multiple)
    assert least <= tile and len(starts) == len(tiles.tile_starts(length, tile, overlap, multiple))
    assert starts[-1] + least >= length and (np.diff(starts) <= least - overlap).all()
    assert least * len(starts) < length + (len(starts) - 1) * overlap + multiple * len(starts) or len(starts) == 1


def test_memory_counts_what_lives_at_once():
    x = torch.ones(1000)
    with Memory() as memory:
        y = x + 1
        z = y.view(10, 100) * 2  # a view takes no memory
        del y
        z = z + 1
    assert memory.live == 4000 and memory.peak == 8000


def test_progress_is_told_within_a_tile(monkeypatch):
    clock = count()
    monkeypatch.setattr(run.time, "monotonic", lambda: next(clock))  # no report comes too soon after the last
    told, network = [], networks.build("drunet", widths=[8, 8], blocks=1).eval()
    make_stoppable(network)
    image = np.random.default_rng(0).random((32, 32, 3), np.float32)
    run_network(network, image, Run(lambda fraction, _: told.append(fraction)), sigma=0.1)
    assert told == sorted(told) and told[0] == 0 and told[-1] == 1 and len(told) > 10


def test_a_network_answers_by_itself_too():
    network = denoisers.load("adnet", device="cpu").network
    assert network(torch.zeros(1, 3, 16, 16)).shape == (1, 3, 16, 16)


@pytest.mark.parametrize("name", ["adnet", "mwcnn"])
def test_normalisations_fold_into_their_convolutions(name):
    torch.manual_seed(0)
    network = networks.build(name)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)
        torch.nn.init.normal_(norm.weight, 1, 0.2), torch.nn.init.normal_(norm.bias)
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        before = network.eval()(x)
        fold_norms(network)
        assert norms and not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
        assert (before - x).abs().max() > 0.01
        torch.testing.assert_close(network(x), before, atol=1e-5, rtol=1e-4)


def test_tiles_are_sized_by_what_a_network_takes(monkeypatch):
    image = np.random.default_rng(0).random((300, 400, 3), np.float32)
    sides, whole = [], tiles.tiled
    monkeypatch.setattr("denoisers.engine.network.tiled", lambda *a, **k: sides.append(k["tile"]) or whole(*a, **k))
    for width in (8, 32):
        network = networks.build("drunet", widths=[width, width], blocks=1).eval()
        run_network(network, image, Run(), budget=2e7, sigma=0.1)
    narrow, wide = sides
    assert wide < narrow <= 1.1 * 2 * wide  # four times the channels, a quarter of the pixels


@pytest.mark.parametrize("name", [n for n in denoisers.names() if n != "bm3d" and not denoisers.spec(n).trains])
def test_tiles_leave_no_trace(name, monkeypatch):
    """Every method, on a picture that is a multiple of nothing: tiled as usual against one whole pass."""
    from skimage import data

    clean = data.coffee()[:397, :599] / 255
    noisy = np.clip(clean + 20 / 255 * np.random.default_rng(0).standard_normal(clean.shape), 0, 1).astype(np.float32)
    denoiser = denoisers.load(name, device="cpu")
    monkeypatch.setattr("denoisers.engine.network.BUDGET", 1)
    monkeypatch.setattr("denoisers.studio.TILE", 48)
    tiled = denoiser.denoise(noisy, **asked(name, sigma=20 / 255)).image
    original = tiles.tiled
    for module in ("engine.tiles", "engine.network", *(f"methods.{n}" for n in denoisers.names())):
        path = f"denoisers.{module}.tiled"
        monkeypatch.setattr(path, lambda *a, **k: original(*a, **{**k, "tile": 10_000}), raising=False)
    monkeypatch.setattr("denoisers.studio.TILE", 10_000)
    whole = denoiser.denoise(noisy, **asked(name, sigma=20 / 255)).image
    assert np.abs(tiled - whole).max() < 1 / 255


def test_grey_is_denoised_as_well_as_colour():
    """Told the plain level, a network trained on noise that is independent in each channel reaches 25 dB here."""
    from skimage import data

    clean = denoisers.images.to_float(data.camera()[192:320, 192:320])
    noisy = denoisers.noise.add_noise(clean, "gaussian", 25 / 255, clip=False)
    denoiser = denoisers.load("drunet", "awgn", "cpu")
    grey = denoiser.denoise(noisy, sigma=25 / 255).image
    assert grey.shape == clean.shape and denoisers.metrics.psnr(grey, clean) > 28


@pytest.mark.parametrize("name", [n for n in denoisers.names() if n != "bm3d"])
def test_a_grey_picture_is_denoised_alike_however_it_is_stored(name, noisy):
    denoiser, grey = denoisers.load(name, device="cpu"), noisy[:64, :64, :1]
    one, three = (denoiser.denoise(picture, **asked(name)) for picture in (grey, grey.repeat(3, -1)))
    assert three.params == one.params and np.abs(one.image - grey).max() > 0
    np.testing.assert_array_equal(three.image, one.image.repeat(3, -1))


def test_a_grey_network_sees_colours_one_by_one():
    image = np.random.default_rng(0).random((40, 56, 3), np.float32)
    network = networks.build("drunet", colours=1, widths=[8, 12], blocks=1).eval()
    alone = [run_network(network, image[..., i : i + 1], Run(), sigma=0.1) for i in range(3)]
    fractions = []
    run = Run(lambda fraction, preview: fractions.append(fraction))
    np.testing.assert_array_equal(run_network(network, image, run, sigma=0.1), np.concatenate(alone, -1))
    assert fractions == sorted(fractions) and fractions[-1] == 1


class Narrow(torch.nn.Module):
    """Runs out of memory on more than so many pixels."""

    colours, multiple, takes_sigma = 3, 1, False

    def __init__(self, room, error):
        super().__init__()
        self.room, self.error, self.sizes = room, error, []

    def forward(self, x):
        self.sizes.append(tuple(x.shape[2:]))
        if x[0, 0].numel() > self.room:
            raise self.error
        return x + 0.25


OUT = [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: can't allocate memory")]


@pytest.mark.parametrize("error", OUT, ids=["gpu", "cpu"])
@pytest.mark.parametrize("side", [200, 300, 900])
def test_smaller_tiles_are_tried_when_memory_runs_out_but_not_for_ever(error, side):
    image = np.random.default_rng(0).random((side, side, 3), np.float32)
    network = Narrow(210**2, error)
    np.testing.assert_allclose(run_network(network, image, Run()), image + 0.25, atol=1e-6)
    network = Narrow(0, error)
    with pytest.raises(RuntimeError, match="memory"):
        run_network(network, image, Run())
    assert len(network.sizes) < 8


def test_memory_that_runs_out_is_told_in_words(monkeypatch, noisy):
    denoiser = denoisers.load("adnet", device="cpu")
    monkeypatch.setattr(type(denoiser), "network", Narrow(0, OUT[0]))
    with pytest.raises(DenoiserError, match="too little memory left on cpu .* Take a part"):
        denoiser.denoise(noisy)
    monkeypatch.setattr(type(denoiser), "network", Narrow(0, RuntimeError("size mismatch")))
    with pytest.raises(RuntimeError, match="size mismatch"):  # a mistake of ours stays one
        denoiser.denoise(noisy)


def test_a_cancelled_run_leaves_its_network_alone(noisy):
    denoiser, calls = denoisers.load("adnet", device="cpu"), count()
    with pytest.raises(Cancelled):
        denoiser.denoise(noisy, cancelled=lambda: next(calls) > 3)
    assert denoiser.network(torch.zeros(1, 3, 16, 16)).shape == (1, 3, 16, 16)


def test_networks_import_nothing_else_of_ours():
    for file in Path(networks.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level < 2 and not (node.module or "").startswith("denoisers"), f"{file.name}: {node.module}"
