"""The command line: ``python -m denoisers list | denoise | ...``."""

import argparse
import hashlib
import json
import math
import os
import sys
from pathlib import Path

from pydantic import BaseModel, ValidationError

import denoisers

from . import own_weights
from . import weights as weight_files
from .errors import DenoiserError, ParameterError
from .images.picture import window
from .images.writing import FORMATS
from .own_weights import is_file


def list_methods(args):
    for name in denoisers.names():
        spec = denoisers.spec(name)
        print(f"{name:12} {spec.title}, {spec.family}, {spec.year}. {spec.good_for}")
        if args.verbose:
            print(f"{'':12} trained for: {spec.trained_for}\n{'':12} {spec.citation}")
            for p in spec.params:
                default = "auto" if p.default is None else p.shown(p.default)
                print(f"{'':14} --{p.name} ({p.unit or p.kind}, default {default}): {p.help}")


def method_params(spec, args) -> dict:
    """What the command line says of the method's parameters, in library units."""
    known = {p.name: p for p in spec.params}
    if unknown := [*(f"--{name}" for name, _ in args.params if name not in known), *args.rest]:
        raise ParameterError(f"{spec.name} has no option {unknown[0]}; it has {', '.join('--' + n for n in known)}.")
    return {name: known[name].parse(value) for name, value in args.params}


def add_params(command):
    """``--name value`` of every method's parameters: which method it is, and has, is known only when all is read."""
    for name in sorted({param.name for method in denoisers.names() for param in denoisers.spec(method).params}):
        command.add_argument(
            f"--{name}",
            action="append",
            dest="params",
            default=[],
            type=lambda value, name=name: (name, value),
            help=argparse.SUPPRESS,
        )


def targets(args, name: str) -> list[Path]:
    """Where each result goes. ParameterError, before there is any work, if one cannot go there."""
    out = Path(args.output)
    if len(args.inputs) > 1 and out.suffix.lower() in FORMATS and not out.is_dir():
        raise ParameterError(f"{out} is one file, and there are {len(args.inputs)} pictures: name a folder.")
    if len(args.inputs) > 1 or out.is_dir() or not out.suffix:
        paths = map(Path, args.inputs)
        found = [out / f"{p.stem}.{name}{p.suffix if p.suffix.lower() in FORMATS else '.png'}" for p in paths]
    else:
        found = [out]
    for place, target in enumerate(found):
        if target in found[:place]:
            one, other = args.inputs[found.index(target)], args.inputs[place]
            raise ParameterError(f"{one} and {other} would both become {target}. Give each an output of its own.")
        if target.suffix.lower() not in FORMATS:
            raise ParameterError(f"{target}: {target.suffix} is no format that we write; use {', '.join(FORMATS)}.")
    for target in found:
        target.parent.mkdir(parents=True, exist_ok=True)
    return found


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def save_recipe(target: Path, facts: dict):
    """What it takes to make a result again, beside it. The web page writes the same."""
    target.with_name(f"{target.name}.json").write_text(json.dumps(facts, indent=2))


class Added(BaseModel, strict=True, extra="forbid"):
    """The arguments of ``add_noise`` in a recipe."""

    model: str
    level: float
    seed: int = 0
    clip: bool = True


class Part(BaseModel, strict=True, extra="forbid"):
    """The part of a picture that a recipe is about."""

    top: int
    left: int
    height: int
    width: int


class FitRecipe(BaseModel, strict=True):
    """What a recipe of the INR Lab must have; ``inr.replay`` looks at the rest."""

    image_sha256: str
    noise: Added | None
    crop: Part | None
    fit: dict


class ResultRecipe(BaseModel, strict=True):
    """What any other recipe must have."""

    image_sha256: str
    denoiser: str
    params: dict
    weights: str | None = None
    weights_sha256: str | None = None
    noise: Added | None = None
    crop: Part | None = None


def read_recipe(path) -> dict:
    """A recipe's JSON. ParameterError: it is none."""
    try:
        facts = json.loads(Path(path).read_text())
        if not isinstance(facts, dict):
            raise ParameterError(f"{path} is no recipe: it is no table of names and values.")
        (FitRecipe if "fit" in facts else ResultRecipe)(**facts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ParameterError(f"{path} is no recipe: {where}: {first['msg'].lower()}.") from error
    except ValueError as error:
        raise ParameterError(f"{path} is no recipe: it is not JSON ({error}).") from error
    return facts


def denoise(args):
    weights, noise, crop = args.weights, None, None
    if args.recipe:
        facts = read_recipe(args.recipe)
        if given := ["-d"] * bool(args.denoiser) + [f"--{name}" for name, _ in args.params] + args.rest:
            raise ParameterError(f"{given[0]}: a recipe already says the denoiser and every parameter.")
        for path in args.inputs:
            digest = sha256(Path(path))
            if digest != facts["image_sha256"]:
                raise DenoiserError(f"{path} is not the picture of the recipe: its SHA-256 starts with {digest[:12]}.")
        if "fit" in facts:
            return refit(args, facts)
        name, params = facts["denoiser"], facts["params"]
        weights = weights or facts.get("weights")  # a file of one's own may lie elsewhere here
        noise, crop = facts.get("noise"), facts.get("crop")
    elif args.denoiser:
        name = args.denoiser
        params = method_params(denoisers.spec(name), args)
    elif is_file(weights):
        name, _ = own_weights.read(weights)
        params = method_params(denoisers.spec(name), args)
    else:
        raise ParameterError("Name a denoiser with -d, give a --recipe, or a file of --weights.")
    denoisers.spec(name).resolve(params)  # what is wrong is said before the weights are loaded, and once
    model = denoisers.load(name, weights, args.device)
    file = weight_files.fingerprint(name, model.weights) if model.weights else None
    if args.recipe and facts.get("weights_sha256", file) not in (None, file):
        have = str(file)[:12]
        raise DenoiserError(f"{model.weights} are not the weights of the recipe: their SHA-256 starts with {have}.")
    places, failed = targets(args, name), 0
    for path, target in zip(map(Path, args.inputs), places, strict=True):
        try:
            digest, picture = sha256(path), denoisers.images.read(path)  # before it is written over, maybe
            pixels = denoisers.noise.add_noise(picture.pixels, **noise) if noise else picture.pixels
            pixels = pixels[window(crop)]
            result = model.denoise(pixels, on_progress=None if args.quiet else progress(path.name), **params)
            denoisers.images.write(target, result.image, like=picture.part(crop))
            if args.save_recipe:
                facts = {"grainwise": denoisers.__version__, "image_sha256": digest, "noise": noise, "crop": crop}
                facts |= {"denoiser": name, "weights": model.weights, "weights_sha256": file, "params": result.params}
                save_recipe(target, facts)
            if not args.quiet:
                sigma = result.params.get("sigma")
                level = f", noise level {255 * sigma:.1f} of 255" if sigma is not None else ""
                print(f"\r{path.name} -> {target}: {result.seconds:.1f} s{level}", file=sys.stderr)
                for note in picture.notes:
                    print(f"  {note}", file=sys.stderr)
            for warning in result.extras.get("notes", []):
                print(f"{path.name}: {warning}", file=sys.stderr)
        except (DenoiserError, OSError) as error:
            failed += 1
            print(f"\r{path}: {error}", file=sys.stderr)
    return 1 if failed else 0


def refit(args, facts):
    """The output of a fit of the INR Lab, from its recipe."""
    from . import inr
    from .engine.device import pick_device
    from .run import Run

    path, (out, *_) = Path(args.inputs[0]), targets(args, "inr")
    picture = denoisers.images.read(path)
    noise = facts["noise"]
    pixels = denoisers.noise.add_noise(picture.pixels, **noise) if noise else picture.pixels
    report = None if args.quiet else progress(path.name)
    restored = inr.replay(pixels, facts, pick_device(args.device), Run(report))
    denoisers.images.write(out, restored, like=picture.part(facts["crop"]))
    if args.save_recipe:
        save_recipe(out, facts)
    if not args.quiet:
        print(f"\r{path.name} -> {out}", file=sys.stderr)


def count(text: str) -> int:
    """A whole number from 1."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def minutes(text: str) -> float:
    """More than none: a training without a limit is asked for by naming no limit."""
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


def train(args):
    from .engine.device import memory_told, pick_device
    from .training import loop, recipe
    from .training.estimate import CURE

    facts, device = recipe.load(args.recipe), pick_device(args.device)
    run = Path(args.output or f"runs/{facts.name}")
    limits = {"minutes": args.minutes, "steps": args.steps, "threads": args.threads}
    with memory_told(device, CURE):
        path = loop.train(facts, args.data, run, resume=args.resume, device=device, **limits)
    print(f"Weights: {path}. Events: {run / 'events.jsonl'}.", file=sys.stderr)


def batch(args):
    from .jobs.batch import batch

    params = method_params(denoisers.spec(args.denoiser), args)
    options = dict(weights=args.weights, device=args.device, reference=args.reference, events=args.events)
    reason = batch(args.source, args.output, args.denoiser, params, **options)
    print(f"{reason.capitalize()}: {args.output}", file=sys.stderr)


def benchmark(args):
    from . import benchmark

    names = args.names and args.names.split(",")
    options = dict(pictures=args.pictures, crop=args.crop, events=args.events)
    results = benchmark.benchmark(args.set, args.output, names, **options)
    print(benchmark.markdown(results, [benchmark.name_of(source) for source in args.set]))


def progress(name):
    return lambda fraction, preview=None: print(f"\r{name} {fraction:4.0%}", end="", file=sys.stderr, flush=True)


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m denoisers", description="Image denoising, every method one call.")
    commands = parser.add_subparsers(dest="command", required=True)
    lister = commands.add_parser("list", help="the denoisers that can run here")
    lister.add_argument("-v", "--verbose", action="store_true", help="with parameters and citations")
    lister.set_defaults(run_command=list_methods)
    epilog = "Any parameter of the method: --NAME VALUE (see list -v)."
    runner = commands.add_parser("denoise", help="denoise pictures", epilog=epilog, allow_abbrev=False)
    runner.add_argument("inputs", nargs="+", metavar="IN")
    runner.add_argument("-d", "--denoiser", help="a name from list")
    runner.add_argument("-o", "--output", required=True, help="file, or folder for several pictures")
    runner.add_argument("--weights", help="a tag, default: the method's first; or a file of yours")
    runner.add_argument("--device", default="auto", help="auto, cpu, cuda:0, mps")
    runner.add_argument("--recipe", help="JSON saved from the app or by --save-recipe: repeat it exactly")
    runner.add_argument("--save-recipe", action="store_true", help="write a recipe beside each result: RESULT.json")
    runner.add_argument("-q", "--quiet", action="store_true")
    add_params(runner)
    runner.set_defaults(run_command=denoise)
    batcher = commands.add_parser(
        "batch",
        help="denoise a folder or a zip, a row of scores a picture; goes on where it stopped",
        epilog=epilog,
        allow_abbrev=False,
    )
    batcher.add_argument("source", help="folder or zip of pictures")
    batcher.add_argument("-d", "--denoiser", required=True, help="a name from list")
    batcher.add_argument("-o", "--output", required=True, help="folder, or a name ending in .zip")
    batcher.add_argument("--reference", help="folder or zip of clean pictures of the same names, to score against")
    batcher.add_argument("--weights", help="a tag, default: the method's first; or a file of yours")
    batcher.add_argument("--device", default="auto", help="auto, cpu, cuda:0, mps")
    batcher.add_argument("--events", help="file to which progress is added, a JSON object a line")
    add_params(batcher)
    batcher.set_defaults(run_command=batch)
    trainer = commands.add_parser("train", help="train a network from a recipe")
    trainer.add_argument("recipe", help="a TOML file, or the name of one that comes with Grainwise: drunet.awgn")
    trainer.add_argument("--data", required=True, help="folder that holds the recipe's picture folders")
    trainer.add_argument("-o", "--output", help="folder of the run, default: runs/METHOD.TAG")
    trainer.add_argument("--minutes", type=minutes, help="limit of training time; the schedule ends with it")
    trainer.add_argument("--steps", type=count, help="in place of the recipe's")
    trainer.add_argument("--resume", action="store_true", help="continue the run folder's checkpoint")
    trainer.add_argument("--device", default="auto", help="auto, cpu, cuda:0, mps")
    trainer.add_argument("--threads", type=count, help="CPU threads")
    trainer.set_defaults(run_command=train)
    scorer = commands.add_parser("benchmark", help="score denoisers on sets of pictures; goes on where it stopped")
    scorer.add_argument("--set", action="append", required=True, help="folder of clean pictures or pairs, or: samples")
    scorer.add_argument("-o", "--output", required=True, help="results file, JSON")
    scorer.add_argument("--names", help="METHOD or METHOD.TAG, separated by commas; default: all")
    scorer.add_argument("--pictures", type=count, help="at most this many of each set, evenly spread")
    scorer.add_argument("--crop", type=count, help="side of the central crop, pixels")
    scorer.add_argument("--events", help="file to which progress is added, a JSON object a line")
    scorer.set_defaults(run_command=benchmark)
    args, rest = parser.parse_known_args(argv)
    if rest and args.command not in ("denoise", "batch"):
        parser.error(f"unknown: {' '.join(rest)}")
    args.rest = rest
    try:
        return args.run_command(args) or 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever reads along, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (DenoiserError, OSError, KeyError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
