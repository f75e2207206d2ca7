"""Work that outlives the browser and the app: trainings, and whole folders to denoise.

>>> from denoisers import jobs
>>> settings = jobs.settings.from_environment()
>>> with jobs.supervised(settings):  # doctest: +SKIP
...     mine = jobs.Jobs(settings, jobs.Visitor(address="127.0.0.1"))
...     job = mine.submit("train", {"recipe": recipe, "data": "pictures"})
...     mine.status(job.id).progress

``Jobs`` is the one interface, for a page or a program: it writes wishes into the store. A supervisor, in the app or as
``python -m denoisers.jobs`` beside it, carries them out with an executor: child processes of this machine, or a Ray
cluster. Who may do what is in ``settings``; what there is to do, in ``kinds``.

A job is a row of the store and a run folder, ``runs/<id>/`` in ``GRAINWISE_JOBS_DIR``:

    spec.json       what it was asked to do
    events.jsonl    what it did, one JSON object a line
    log.txt         what it printed, all attempts
    and what its kind makes: checkpoint.pt, average.safetensors, previews/ (train); result/ or result.zip (batch)
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from . import archive, kinds, settings
from .settings import NotAllowed, Settings, Visitor, size
from .store import Job, JobError, Store, WrongState

__all__ = ["Job", "JobError", "Jobs", "NotAllowed", "Settings", "Status", "Visitor", "WrongState", "settings"]

UNWATCHED = 30.0
"""Seconds without a heartbeat after which a running job has no supervisor."""
CHUNK = 1_000_000
"""Bytes of a log or of events handed over at a time."""


@dataclass(frozen=True)
class Status:
    """A job and how far it is. ``watched``: whether a supervisor looks after it, so that its state is news;
    ``seconds_left`` and ``pictures_per_second`` are None where not known."""

    job: Job
    progress: float
    seconds_left: float | None
    pictures_per_second: float | None
    watched: bool


class Jobs:
    """The jobs of an installation, as a visitor may see and change them.

    Where visitors sign in, each has their own; elsewhere all that are let in see all. Every method raises NotAllowed
    unless ``Settings.admit`` lets the visitor in, and JobError for a job that is not there or is another's.
    """

    def __init__(self, settings: Settings, visitor: Visitor, store: Store | None = None):
        self.settings, self.visitor = settings, visitor
        self.store = store or Store(settings.root / "jobs.sqlite")
        self.owner = (visitor.user or "") if settings.who == "signed-in" else None

    def folder(self, id: str) -> Path:
        """The run folder of a job."""
        return self.settings.root / "runs" / self.get(id).id

    def get(self, id: str) -> Job:
        self.settings.admit(self.visitor)
        job = self.store.get(id)
        if self.owner not in (None, job.owner):
            raise JobError(f"There is no job {id}; it may have been deleted.")
        return job

    def list(self) -> list[Job]:
        """In the order of the queue: highest priority first."""
        self.settings.admit(self.visitor)
        return self.store.list(owner=self.owner)

    def status(self, id: str) -> Status:
        return self.look_at(self.get(id))

    def statuses(self) -> list[Status]:
        """Of all jobs, in the order of the queue."""
        return [self.look_at(job) for job in self.list()]

    def look_at(self, job: Job) -> Status:
        if not job.active:  # its progress was noted when it ended, or was interrupted
            return Status(job, job.progress, seconds_left=None, pictures_per_second=None, watched=True)
        watched = time.time() - job.heartbeat < UNWATCHED
        return Status(job, watched=watched, **kinds.progress(self.settings.root / "runs" / job.id))

    def events(self, id: str, after: int = 0) -> tuple[list[dict], int]:
        """Events beyond byte ``after`` of the file, and where to ask on from."""
        text, offset = self.lines(id, "events.jsonl", after)
        return kinds.events(text), offset

    def logs(self, id: str, after: int = 0) -> tuple[str, int]:
        """Whole lines of the log beyond byte ``after``, and where to ask on from."""
        return self.lines(id, "log.txt", after)

    def lines(self, id: str, name: str, after: int) -> tuple[str, int]:
        try:
            with (self.folder(id) / name).open("rb") as file:
                file.seek(after)
                data = file.read(CHUNK)
        except FileNotFoundError:
            return "", after
        # A line longer than the chunk is handed over in parts: it must not hold up those after it.
        data = data if len(data) == CHUNK and b"\n" not in data else data[: data.rfind(b"\n") + 1]
        return data.decode("utf-8", "replace"), after + len(data)

    def submit(self, kind: str, spec: dict, priority: int = 0) -> Job:
        """Check a job and queue it, after those of higher or equal priority.

        Raises JobError or another DenoiserError that says what is wrong with the spec, with the data, or which limit
        is reached; nothing is kept then.
        """
        self.settings.admit(self.visitor)
        checked = kinds.parse(kind, spec).check(self.settings)
        owner = self.visitor.user or ""
        unfinished = [job for job in self.store.list(owner=owner) if not job.finished]
        if len(unfinished) >= self.settings.per_user:
            raise NotAllowed(f"{len(unfinished)} jobs are unfinished, the limit here. Wait for one, or cancel one.")
        self.check_disk()
        id = f"{time.strftime('%y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
        run = self.settings.root / "runs" / id
        run.mkdir(parents=True)
        facts = checked.model_dump(mode="json")
        (run / "spec.json").write_text(json.dumps({"kind": kind, **facts}, indent=1))
        return self.store.add(
            id,
            kind=kind,
            title=checked.title,
            spec=facts,
            executor=self.settings.executor,
            owner=owner,
            priority=priority,
        )

    def check_disk(self):
        held = size(self.settings.root) / 1e9
        if held >= self.settings.gigabytes:
            limit = f"{self.settings.gigabytes:g} GB"
            raise NotAllowed(f"Jobs and uploads hold {held:.1f} GB, the limit here is {limit}. Delete some.")

    def upload(self, file) -> Path:
        """Unpack a zip (path or binary file) of data; returns its folder, which jobs may read. Its name is always the
        same: the same zip has the same scenes held back.

        Raises ArchiveError for a zip that is damaged, too large or wants out of its folder, JobError where the disk
        does not take it.
        """
        self.settings.admit(self.visitor)
        self.check_disk()
        left = self.settings.gigabytes - size(self.settings.root) / 1e9
        try:
            return archive.extract(file, self.settings.uploads / secrets.token_urlsafe(16) / "pictures", left)
        except OSError as error:
            raise JobError(f"The server's disk does not take it: {error.strerror}.") from error

    def put(self, path) -> Path:
        """Copy a file, one of weights, to where jobs may read it; returns the copy. Raises JobError, see ``upload``."""
        self.settings.admit(self.visitor)
        self.check_disk()
        folder = self.settings.uploads / secrets.token_urlsafe(16)
        try:
            folder.mkdir(parents=True)
            return Path(shutil.copy(path, folder))
        except OSError as error:
            raise JobError(f"The server's disk does not take it: {error.strerror}.") from error

    def pause(self, id: str) -> Job:
        """A running job saves and stops; a queued one is held."""
        return self.store.move(id, "pausing" if self.get(id).state == "running" else "paused")

    def resume(self, id: str) -> Job:
        """Queue a paused or failed job again; it goes on from its last checkpoint."""
        self.get(id)
        return self.store.move(id, "queued", stumbles=0, reason="", ended=0)

    def cancel(self, id: str) -> Job:
        """End a job for good. What it made so far stays in its folder."""
        return self.store.move(id, "cancelling" if self.get(id).active else "cancelled", reason="")

    def reorder(self, id: str, place: int):
        """Put a queued job at a place among the visitor's queued jobs, 0 first: another's keep theirs."""
        self.get(id)
        self.store.reorder(id, place, self.owner)

    def delete(self, id: str):
        """Remove a job that has no process, and its folder."""
        self.get(id)
        run = self.folder(id)
        self.store.delete(id)
        if run.exists():
            shutil.rmtree(run)


def supervised(settings: Settings, **options):
    """See ``supervisor.supervised``, which is loaded here: it needs a POSIX system."""
    from .supervisor import supervised

    return supervised(settings, **options)
