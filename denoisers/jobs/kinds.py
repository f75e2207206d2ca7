"""What a job can do. A kind checks what it is given, and says the command line that does it.

Each command keeps to three rules, which is all that the supervisor knows of it:
- called again with the same words it goes on where it stopped;
- SIGTERM makes it save and exit;
- it writes ``events.jsonl`` in the run folder: any event may carry ``progress`` (0 to 1), ``seconds`` worked and
  ``pictures_per_second``, and the last is ``{"event": "end", "reason": "finished"}`` or "stopped". An end that is
  finished is what makes a job done. Failing, its last line of output is ``error: `` and a sentence.

A new kind is one more class here.
"""

import json
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .. import own_weights
from ..errors import ParameterError
from .settings import Settings
from .store import JobError


class Kind(BaseModel):
    """The spec of a job. ``gpus``: how many it needs, None for one where the installation has any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpus: int | None = Field(None, ge=0, le=64)
    threads: int = Field(1, ge=1, le=256)

    @property
    def title(self) -> str:
        raise NotImplementedError

    def check(self, settings: Settings) -> "Kind":
        """Itself with real paths and within the limits; DenoiserError says what is wrong."""
        raise NotImplementedError

    def prepare(self, run: Path):
        """Put into the run folder what the command reads from there."""

    def command(self, run: Path, device: str, gpus: int) -> list[str]:
        """Words after ``python -m``. ``device`` is "cpu", "cuda" or "auto"; ``gpus`` of them are this job's."""
        raise NotImplementedError


class Train(Kind):
    """Train a recipe. ``recipe`` as ``training.recipe.parse`` takes it; ``data``: the folder of its folders."""

    recipe: dict
    data: Path
    minutes: float | None = Field(None, gt=0)

    @property
    def title(self) -> str:
        return f"Train {self.recipe.get('method')}.{self.recipe.get('tag')}"

    def check(self, settings):
        from ..training import recipe, survey

        facts = recipe.parse(self.recipe)
        data = settings.confine(self.data)
        for name in (*facts.data.clean, *facts.data.pairs, *facts.data.noisy_pairs, *facts.data.noisy):
            settings.confine(data / name)  # a recipe's folder may be "../.."
        survey.survey(facts, data)
        hours = min(settings.hours, self.minutes / 60 if self.minutes else settings.hours)
        update = {"recipe": facts.model_dump(mode="json", exclude_none=True), "data": data, "minutes": 60 * hours}
        return self.model_copy(update=update)

    def prepare(self, run):
        import tomli_w

        (run / "recipe.toml").write_text(tomli_w.dumps(self.recipe))

    def command(self, run, device, gpus):
        team = ["torch.distributed.run", "--standalone", f"--nproc-per-node={gpus}", "-m"] if gpus > 1 else []
        words = ["denoisers", "train", run / "recipe.toml", "--data", self.data, "--output", run, "--resume"]
        words += ["--minutes", self.minutes, "--device", device, "--threads", self.threads]
        return [*team, *map(str, words)]


class Batch(Kind):
    """Denoise all pictures of ``source``, a folder or a zip, with ``params`` in library units and ``weights``, a tag or
    a file. The results come in the run folder as ``result/`` or, ``into`` a zip, as ``result.zip``; scored where there
    is a ``reference``. ``label`` names the pictures in the title; the source's name if empty."""

    source: Path
    denoiser: str
    params: dict = {}
    weights: str | None = None
    reference: Path | None = None
    into: Literal["folder", "zip"] = "folder"
    label: str = Field("", max_length=200)

    @property
    def title(self) -> str:
        model = Path(self.weights).stem if own_weights.is_file(self.weights) else self.denoiser
        return f"{model} on {self.label or self.source.name}"

    def check(self, settings):
        from .. import registry, weights
        from .batch import open_source

        spec = registry.spec(self.denoiser)
        params = spec.resolve(self.params)
        given, paths = self.weights, {"source": settings.confine(self.source)}
        if given and not spec.needs_weights:
            raise ParameterError(f"{spec.title} has no weights; {given!r} was asked for.")
        if own_weights.is_file(given):
            given = str(settings.confine(given))
            own_weights.read(given, self.denoiser)
        elif spec.needs_weights:
            weights.entry(self.denoiser, given)
        if self.reference:
            paths["reference"] = settings.confine(self.reference)
        for path in paths.values():
            open_source(path)
        return self.model_copy(update={"params": params, "weights": given, **paths})

    def command(self, run, device, gpus):
        from .. import registry

        words = ["denoisers", "batch", self.source, "-o", run / ("result" if self.into == "folder" else "result.zip")]
        words += ["-d", self.denoiser, "--device", device, "--events", run / "events.jsonl"]
        words += ["--weights", self.weights] if self.weights else []
        words += ["--reference", self.reference] if self.reference else []
        for param in registry.spec(self.denoiser).params:
            if self.params.get(param.name) is not None:
                shown = param.shown(self.params[param.name])
                words += [f"--{param.name}", str(shown).lower() if param.kind == "bool" else shown]
        return [str(word) for word in words]


class Benchmark(Kind):
    """Score denoisers, METHOD or METHOD.TAG each and all if none is named, on ``sets``, folders or "samples". The table
    comes as ``results.json``, see ``denoisers.benchmark``."""

    sets: list[str] = Field(min_length=1)
    names: list[str] = []
    pictures: int | None = Field(None, ge=1)
    crop: int | None = Field(None, ge=16)

    @property
    def title(self) -> str:
        return f"Benchmark on {', '.join(Path(source).name for source in self.sets)}"

    def check(self, settings):
        from .. import benchmark

        sets = [source if source == benchmark.SAMPLES else str(settings.confine(source)) for source in self.sets]
        for source in sets:
            benchmark.Set(source)
        return self.model_copy(update={"sets": sets, "names": benchmark.models(self.names)})

    def command(self, run, device, gpus):
        words = ["denoisers", "benchmark", "-o", run / "results.json", "--events", run / "events.jsonl"]
        words += [word for source in self.sets for word in ("--set", source)]
        words += ["--names", ",".join(self.names)]
        words += ["--pictures", self.pictures] if self.pictures else []
        words += ["--crop", self.crop] if self.crop else []
        return [str(word) for word in words]


KINDS: dict[str, type[Kind]] = {"train": Train, "batch": Batch, "benchmark": Benchmark}


def parse(kind: str, spec: dict) -> Kind:
    """A spec as its kind; JobError names the entry that is wrong."""
    if kind not in KINDS:
        raise JobError(f"There is no kind of job {kind!r}; there is {', '.join(KINDS)}.")
    try:
        return KINDS[kind](**spec)
    except ValidationError as error:
        first = error.errors()[0]
        raise JobError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from error


# What a run folder tells

TAIL = 64_000
"""Bytes at the end of a run's events and log that are looked at for its state."""


def tail(path: Path, size: int = TAIL) -> str:
    """The end of a text file; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def events(text: str) -> list[dict]:
    """The events among the lines of a text. A line that a crash cut off is no event."""
    found = []
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            found.append(event)
    return found


def last(run: Path, key: str) -> dict:
    """The latest event of a run that has ``key``; empty if none has."""
    return next((event for event in reversed(events(tail(run / "events.jsonl"))) if key in event), {})


def finished(run: Path) -> bool:
    """Whether the run came to its end: its latest event says so."""
    event = last(run, "event")
    return event.get("event") == "end" and event.get("reason") == "finished"


def progress(run: Path) -> dict:
    """``progress`` 0 to 1, ``seconds_left`` at the pace so far (None while too early to say),
    ``pictures_per_second`` (None where not known)."""
    event = last(run, "progress")
    share = 1.0 if finished(run) else event.get("progress", 0.0)
    left = event["seconds"] * (1 - share) / share if share > 0.01 and "seconds" in event else None
    return {"progress": share, "seconds_left": left, "pictures_per_second": event.get("pictures_per_second")}
