"""Every denoiser on sets of pictures, scored alike: the table that the choices Grainwise offers first rest on.

``python -m denoisers benchmark --set DIR -o results.json``. A set is a folder: noisy/clean pairs (found by
``training.folders``) are denoised as they are; clean pictures get the noise of each of ``CONDITIONS``. ``samples``
names the four pictures that come with scikit-image.

Protocol: the central ``crop`` of each picture; noise unclipped, float32, seed 0; the noise level is told to the
methods that take one where the condition says so, as in the tables of the literature, else all is blind. Networks run
in float32, also where bfloat16 is faster: its rounding shows in the second decimal. PSNR: range 1, all pixels and
channels, no border cut, mean over pictures; SSIM as ``metrics.ssim``. The clock runs over ``denoise`` alone, after one
call on a small picture that loads what is loaded on first use, but for the methods that train on the picture.
"""

import functools
import hashlib
import json
import os
import platform
import re
import sys
import threading
import time
import tomllib
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

import denoisers

from . import images, metrics, weights
from .denoiser import Denoiser, load
from .engine.device import in_float32
from .errors import Cancelled, DataError, ParameterError
from .events import Events, stopped_by_signals, write_atomically
from .noise import add_noise


class Condition(NamedTuple):
    """Noise that is made: a model of ``noise.models``, its level in the library's units, whether methods are told."""

    model: str
    level: float
    told: bool = False


PHOTOGRAPHED = "photographed"
"""The condition of noisy/clean pairs."""
CONDITIONS = {
    "sigma 15": Condition("gaussian", 15 / 255, told=True),
    "sigma 25": Condition("gaussian", 25 / 255, told=True),
    "sigma 50": Condition("gaussian", 50 / 255, told=True),
    "Poisson 25": Condition("poisson", 25 / 255),
    "text 25 %": Condition("text", 0.25),
}
SAMPLES = "samples"
NOISY = "noisy"
"""The name under which the noisy pictures themselves are scored."""


class Picture(NamedTuple):
    """One picture of a set: ``name`` within it, ``clean`` H x W x C in [0, 1], ``noisy`` the same or None."""

    name: str
    clean: np.ndarray
    noisy: np.ndarray | None


def centre(pixels, side: int | None):
    if not side:
        return pixels
    top, left = (max(0, (n - side) // 2) for n in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def name_of(source) -> str:
    """What a set is called: ``samples``, or its folder's name."""
    return SAMPLES if str(source) == SAMPLES else Path(source).resolve().name


class Set:
    """The pictures of a folder, or the samples; at most ``most`` of them, evenly spread, ``crop`` pixels a side.

    ``digest`` tells it from another of the same name by its files' names and sizes; ``problems`` are the files that
    were left out, and why. Raises DataError: no folder, or no picture in it.
    """

    def __init__(self, source, most: int | None = None, crop: int | None = None):
        self.name, self.crop, self.problems = name_of(source), crop, []
        if str(source) == SAMPLES:
            self.folder = None
            found = [(None, name) for name in ("astronaut", "camera", "chelsea", "coffee")]
        else:
            from .training import folders

            self.folder = Path(source).resolve()
            examples = folders.pairs(self.folder, least=0) or folders.clean_pictures(self.folder)
            found = [(example.noisy, example.target) for example in examples]
            self.problems = examples.problems
        if most and most < len(found):
            found = [found[i] for i in np.linspace(0, len(found) - 1, most).astype(int)]
        self.files = {self.label(clean, noisy): (noisy, clean) for noisy, clean in found}
        sizes = [[path.stat().st_size for path in pair if path] for pair in found] if self.folder else []
        self.digest = hashlib.sha256(json.dumps([list(self.files), sizes]).encode()).hexdigest()[:16]

    def label(self, clean, noisy) -> str:
        return str((noisy or clean).relative_to(self.folder)) if self.folder else clean

    @property
    def conditions(self) -> list[str]:
        return [PHOTOGRAPHED] if any(noisy for noisy, _ in self.files.values()) else list(CONDITIONS)

    def check(self):
        """Open every picture once. Raises DenoiserError: one cannot be read, or a pair is of two sizes."""
        for name in self.files:
            picture = self.open(name)
            if picture.noisy is not None and picture.noisy.shape != picture.clean.shape:
                sizes = " and ".join(" x ".join(map(str, p.shape)) for p in (picture.noisy, picture.clean))
                raise DataError(f"{self.name}/{name} and its clean partner are of two sizes: {sizes}.")

    def open(self, name: str) -> Picture:
        noisy, clean = self.files[name]
        if self.folder is None:
            from skimage import data

            return Picture(name, centre(images.to_float(getattr(data, clean)()), self.crop), None)
        noisy, clean = (path and centre(images.read(path).pixels, self.crop) for path in (noisy, clean))
        if noisy is None:
            clean = images.distinct_channels(clean)  # three noises in place of one would make it easier
        return Picture(name, clean, noisy)


def given(picture: Picture, condition: str) -> tuple[np.ndarray, float | None]:
    """The noisy picture of a condition, and the noise level that methods are told, if any."""
    if condition == PHOTOGRAPHED:
        return picture.noisy, None
    model, level, told = CONDITIONS[condition]
    return add_noise(picture.clean, model, level, clip=False), level if told else None


def takes_level(model: Denoiser) -> bool:
    """Whether a method can be told the noise level."""
    return any(p.name == "sigma" for p in model.spec.params)


def models(names) -> list[str]:
    """METHOD or METHOD.TAG, in full: a method with weights stands for all its tags, None for every method.

    Raises DenoiserError: no such method or tag.
    """
    full = []
    for name in names or [n for n in denoisers.names() if n != "own"]:
        method, _, tag = name.partition(".")
        spec = denoisers.spec(method)
        tags = [weights.entry(method, tag)[0]] if tag else spec.weights
        full += [f"{method}.{tag}" for tag in tags] if spec.needs_weights else [method]
    return full


def open_model(name: str) -> Denoiser:
    method, _, tag = name.partition(".")
    return load(method, tag or None)


@functools.cache
def cost(name: str) -> dict:
    """Parameters, and multiply-adds a pixel of one pass over 256 x 256; nothing for methods without weights."""
    method, _, tag = name.partition(".")
    if not tag:
        return {}
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from .networks import build

    facts, side = weights.entry(method, tag)[1], 256
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network = build(facts["architecture"], **facts["arguments"]).eval()
        network(torch.zeros(1, network.colours, side, side), *[torch.zeros(1, 1, 1, 1)] * network.takes_sigma)
    parameters = sum(p.numel() for p in network.parameters())
    return {"parameters": parameters, "macs_per_pixel": counter.get_total_flops() // 2 // side**2}


def scores(restored, picture: Picture) -> dict:
    psnr, ssim = metrics.psnr(restored, picture.clean), metrics.ssim(restored, picture.clean)
    return {"picture": picture.name, "psnr": round(psnr, 3), "ssim": round(ssim, 4)}


def row(source: Set, condition: str, name: str, on_picture, cancelled) -> dict:
    """One line of the table: means over a set's pictures, and each picture's scores."""
    each, pixels, facts = [], 0, {}
    if name != NOISY:
        model = open_model(name)
        facts = cost(name)
        if not model.spec.trains:
            model.denoise(np.random.default_rng(0).random((32, 32, 3), np.float32))
    for label in source.files:
        picture = source.open(label)
        noisy, level = given(picture, condition)
        if name == NOISY:
            each.append(scores(noisy, picture))
        else:
            told = {"sigma": level} if level and takes_level(model) else {}
            result = model.denoise(noisy, cancelled=cancelled, **told)
            each.append(scores(result.image, picture) | {"seconds": round(result.seconds, 3)})
        pixels += picture.clean[..., 0].size
        on_picture()
    means = {key: round(float(np.mean([one[key] for one in each])), 4) for key in ("psnr", "ssim")}
    if name != NOISY:
        means["seconds_per_megapixel"] = round(1e6 * sum(one["seconds"] for one in each) / pixels, 2)
    return {"set": source.name, "condition": condition, "model": name, **means, **facts, "each": each}


def machine() -> dict:
    """Where the clock ran."""
    import torch

    from .engine.device import pick_device, precision

    device = pick_device("auto")
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    # Those that this process may use, where the system tells.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts = {"processor": processor, "cores": cores, "threads": torch.get_num_threads()}
    return facts | {"device": device, "precision": str(precision(device)).removeprefix("torch.")}


def fingerprint(name: str) -> str | None:
    method, _, tag = name.partition(".")
    return weights.fingerprint(method, tag)[:16] if tag else None


@in_float32()
def benchmark(sets, output, names=None, *, pictures=None, crop=None, events=None) -> dict:
    """Score denoisers on sets and write the table; called again with the same words it goes on after the last row.

    Args:
        sets: folders, or "samples".
        output: results file, JSON, rewritten after every row.
        names: METHOD or METHOD.TAG each; None: all, with all their weights.
        pictures: at most this many of each set, evenly spread; crop: side of the central crop, pixels.
        events: file for events: start, row (done, total, progress, seconds), end.

    Rows of ``output`` of the same version, protocol, pictures and weights are kept; a row that was made on another
    machine than the first says so in ``machine``. Returns the results. Raises
    DenoiserError: a set or a name that is not there, a picture that cannot be read. Stopped by SIGTERM or Ctrl-C it
    returns what there is.
    """
    from .training.folders import first

    output, names = Path(output), models(names)
    sources = [Set(source, pictures, crop) for source in sets]
    if len({source.name for source in sources}) < len(sources):
        raise DataError("Two sets have the same name: " + ", ".join(source.name for source in sources))
    protocol = {"grainwise": denoisers.__version__, "pictures": pictures, "crop": crop}
    here = machine()
    results = protocol | {"date": f"{date.today()}", "machine": here, "sets": {}, "rows": []}
    if output.exists():
        before = read(output)
        if any(before[key] != value for key, value in protocol.items()):
            raise ParameterError(f"{output} holds another version, number or size of pictures: name another file.")
        results["rows"], results["machine"] = before["rows"], before["machine"]
        results["sets"] = before.get("sets", {})
        for source in sources:
            same, names_of = results["sets"].get(source.name, source.digest) == source.digest, list(source.files)
            results["rows"] = [
                r
                for r in results["rows"]
                if r["set"] != source.name or (same and [one["picture"] for one in r["each"]] == names_of)
            ]
    results["sets"] |= {source.name: source.digest for source in sources}

    files = {name: fingerprint(name) for name in names}
    fresh = [r for r in results["rows"] if r["file"] == files.get(r["model"], r["file"])]
    kept = {(r["set"], r["condition"], r["model"]): r for r in fresh}
    wanted = [(s, c, name) for s in sources for c in s.conditions for name in (NOISY, *names)]
    left = [(s, c, name) for s, c, name in wanted if (s.name, c, name) not in kept]
    # Rows asked for stand in the order asked, others before them.
    order = {(s.name, c, name): place for place, (s, c, name) in enumerate(wanted)}
    results["rows"] = sorted(kept.values(), key=lambda r: order.get((r["set"], r["condition"], r["model"]), -1))
    if not results["rows"]:
        results["machine"] = here

    for source in {s.name: s for s, _, _ in left}.values():
        source.check()
        if source.problems:
            print(f"{source.name}: left out:{first(source.problems)}", file=sys.stderr)

    earlier = Path(events).read_text() if events and Path(events).exists() else ""
    spent = max(map(float, re.findall(r'"seconds": ([\d.]+)', earlier)), default=0.0)  # before it was stopped
    log, stop = Events(events and Path(events)), threading.Event()
    began, seen = time.monotonic(), 0
    log.write("start", done=len(wanted) - len(left), total=len(wanted))

    def count():
        nonlocal seen
        seen += 1

    with stopped_by_signals(stop):
        for done, (source, condition, name) in enumerate(left, 1 + len(wanted) - len(left)):
            try:
                found = row(source, condition, name, count, stop.is_set)
            except Cancelled:
                break
            elsewhere = {"machine": here} if here != results["machine"] else {}
            results["rows"].append(found | {"file": files.get(name)} | elsewhere)
            results["rows"].sort(key=lambda r: order.get((r["set"], r["condition"], r["model"]), -1))
            write_atomically(output, lambda part: part.write_text(written(results)))
            seconds = time.monotonic() - began
            facts = {"progress": round(done / len(wanted), 4), "pictures_per_second": round(seen / seconds, 3)}
            log.write("row", done=done, total=len(wanted), seconds=round(spent + seconds, 1), **facts)
            print(line(found), flush=True)
            if stop.is_set():
                break
    done = len({(r["set"], r["condition"], r["model"]) for r in results["rows"]} & set(order))
    log.write("end", reason="finished" if done == len(wanted) else "stopped", done=done, total=len(wanted))
    return results


def written(results: dict) -> str:
    """As JSON, each row on a line of its own."""
    head = json.dumps({key: value for key, value in results.items() if key != "rows"})
    return head[:-1] + ', "rows": [\n' + ",\n".join(json.dumps(row) for row in results["rows"]) + "\n]}\n"


def read(path) -> dict:
    """A results file. Raises DataError: it is none."""
    try:
        results = json.loads(Path(path).read_text())
        missing = {"grainwise", "date", "machine", "pictures", "crop", "rows"} - set(results)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} cannot be read as results of a benchmark: {error}.") from error
    if missing:
        raise DataError(f"{path} holds no results of a benchmark: it lacks {', '.join(sorted(missing))}.")
    return results


def ranking(results: dict, white: bool) -> list[str]:
    """The models, best first by mean PSNR over the tests with white noise, or over those as photographed.

    Only models that all those tests have; none where there is no such test.
    """
    tests = {}
    for found in results["rows"]:
        white_noise = found["condition"] in CONDITIONS and CONDITIONS[found["condition"]].model == "gaussian"
        if found["model"] != NOISY and (white_noise if white else found["condition"] == PHOTOGRAPHED):
            tests.setdefault((found["set"], found["condition"]), {})[found["model"]] = found["psnr"]
    if not tests:
        return []
    everywhere = set.intersection(*map(set, tests.values()))
    return sorted(everywhere, key=lambda name: -sum(scores[name] for scores in tests.values()))


def line(found: dict) -> str:
    head = f"{found['set']:12} {found['condition']:12} {found['model']:24}"
    speed = f"{found['seconds_per_megapixel']:8.1f} s/MP" if "seconds_per_megapixel" in found else ""
    return f"{head} {found['psnr']:6.2f} dB  {found['ssim']:.4f} {speed}"


def markdown(results: dict, sets=None) -> str:
    """A line a model, a column of PSNR a test of ``sets`` (all if None), the best of each in bold; and its time,
    seconds a megapixel over all of them."""
    table = {}
    for found in results["rows"]:
        if sets is None or found["set"] in sets:
            table.setdefault((found["set"], found["condition"]), {})[found["model"]] = found
    names = list(dict.fromkeys(name for scores in table.values() for name in scores))

    def cell(scores, name):
        if name not in scores:
            return ""
        best = max(found["psnr"] for other, found in scores.items() if other != NOISY or len(scores) == 1)
        mark = "**" if scores[name]["psnr"] == best else ""
        return f"{mark}{scores[name]['psnr']:.2f}{mark}"

    def pace(name):
        times = [scores[name].get("seconds_per_megapixel") for scores in table.values() if name in scores]
        return f"{np.mean(times):.1f}" if all(times) else ""

    lines = [["", *(", ".join(test) for test in table), "s/MP"], ["---"] * (len(table) + 2)]
    lines += [[name, *(cell(scores, name) for scores in table.values()), pace(name)] for name in names]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def published() -> list[dict]:
    """What the authors of the methods printed: ``model``, ``set``, ``scores`` (condition -> PSNR), ``note`` each."""
    return tomllib.loads((Path(__file__).parent / "published.toml").read_text())["figure"]
