"""The record of all jobs: one SQLite file, the only truth about them.

Whoever wants something of a job writes it here as a state ("pausing"); the supervisor reads it, acts, and writes what
came of it ("paused"). Every change is one transaction that checks ``TRANSITIONS``, so of two processes that want the
same job only one gets it.
"""

import json
import sqlite3
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from ..errors import DenoiserError

TRANSITIONS = {
    "queued": {"running", "paused", "cancelled", "failed"},
    "running": {"pausing", "cancelling", "done", "failed", "queued"},  # queued again: interrupted
    "pausing": {"paused", "cancelling", "done", "failed"},
    "paused": {"queued", "cancelled"},
    "cancelling": {"cancelled", "done", "failed"},  # failed: ended for passing a limit
    "failed": {"queued"},  # tried again, from its checkpoint
    "cancelled": set(),
    "done": set(),
}
ACTIVE = ("running", "pausing", "cancelling")
"""States in which a process may exist."""
UNFINISHED = ("queued", "paused", *ACTIVE)


class JobError(DenoiserError):
    """A job that cannot be had, or cannot be changed as asked."""


class WrongState(JobError):
    """The job is not in a state from which it can go there; another process may have been quicker."""


class Unavailable(JobError):
    """An executor that can take no job just now. The job waits, and the sentence says for what."""


@dataclass(frozen=True)
class Job:
    """One row. Times are seconds since 1970, 0 where not yet.

    Attributes:
        spec: what to do, as its kind (``kinds.KINDS``) takes it.
        executor: "local" or "ray".
        owner: who started it; "" where the installation knows no users.
        reason: a sentence: why it failed, was interrupted, or waits.
        priority, place: the queue runs from the highest priority and, within it, the lowest place.
        attempts: how often it was started.
        stumbles: interruptions in a row that came before any progress.
        progress: share of the work done, as of the last interruption or end.
        handle: what its executor knows the process by; None when there is none.
        slot: what of the machine it holds: "cpu", or "gpu:0,1".
        ran: seconds of running, all attempts together.
        heartbeat: when a supervisor last saw its process alive.
    """

    id: str
    kind: str
    title: str
    spec: dict
    executor: str
    owner: str
    state: str
    reason: str
    priority: int
    place: float
    attempts: int
    stumbles: int
    progress: float
    handle: dict | None
    slot: str
    created: float
    started: float
    ended: float
    ran: float
    heartbeat: float

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def finished(self) -> bool:
        return self.state not in UNFINISHED


COLUMNS = [f.name for f in fields(Job)]
JSON = ("spec", "handle")
SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, title TEXT NOT NULL, spec TEXT NOT NULL, executor TEXT NOT NULL,
    owner TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
    priority INTEGER NOT NULL DEFAULT 0, place REAL NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0, stumbles INTEGER NOT NULL DEFAULT 0, progress REAL NOT NULL DEFAULT 0,
    handle TEXT NOT NULL DEFAULT 'null', slot TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL, started REAL NOT NULL DEFAULT 0, ended REAL NOT NULL DEFAULT 0,
    ran REAL NOT NULL DEFAULT 0, heartbeat REAL NOT NULL DEFAULT 0
)"""
ORDER = "ORDER BY priority DESC, place, created"


def job_of(row) -> Job:
    facts = dict(zip(COLUMNS, row, strict=True))
    return Job(**facts | {name: json.loads(facts[name]) for name in JSON})


class Store:
    """The jobs in ``path``. Safe to use from several threads and processes of one machine."""

    def __init__(self, path):
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self.db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        with self.write() as db:
            db.execute(SCHEMA)

    def rows(self, query: str, values=()) -> list:
        with self.lock:
            return self.db.execute(query, values).fetchall()

    @contextmanager
    def write(self):
        """A transaction that excludes other writers from its first line on; nothing of it stays if it raises."""
        with self.lock:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:  # a full disk has already rolled it back
                    self.db.execute("ROLLBACK")
                raise

    def add(self, id: str, **facts) -> Job:
        """A new job at the end of its priority's queue. ``facts``: kind, title, spec, executor, owner, priority."""
        with self.write() as db:
            last = db.execute("SELECT COALESCE(MAX(place), 0) FROM jobs").fetchone()[0]
            facts |= {"id": id, "state": "queued", "created": time.time(), "place": last + 1}
            facts["spec"] = json.dumps(facts["spec"])
            marks = ", ".join("?" * len(facts))
            db.execute(f"INSERT INTO jobs ({', '.join(facts)}) VALUES ({marks})", list(facts.values()))
            return self.get(id)

    def get(self, id: str) -> Job:
        found = self.rows(f"SELECT {', '.join(COLUMNS)} FROM jobs WHERE id = ?", [id])
        if not found:
            raise JobError(f"There is no job {id}; it may have been deleted.")
        return job_of(found[0])

    def list(self, *states: str, owner: str | None = None) -> list[Job]:
        """Jobs in these states (all if none is named), of this owner, in the order of the queue."""
        where = [f"state IN ({', '.join('?' * len(states))})"] if states else []
        where += ["owner = ?"] if owner is not None else []
        condition = f"WHERE {' AND '.join(where)}" if where else ""
        values = [*states, *([owner] if owner is not None else [])]
        rows = self.rows(f"SELECT {', '.join(COLUMNS)} FROM jobs {condition} {ORDER}", values)
        return [job_of(row) for row in rows]

    def set(self, db, id: str, **facts):
        facts = {name: json.dumps(value) if name in JSON else value for name, value in facts.items()}
        assignments = ", ".join(f"{name} = ?" for name in facts)
        db.execute(f"UPDATE jobs SET {assignments} WHERE id = ?", [*facts.values(), id])

    def move(self, id: str, to: str, *, expected: str | None = None, **facts) -> Job:
        """Change a job's state, and ``facts`` with it. WrongState if that is no transition from where it is now, or
        if it is not where the caller ``expected`` it."""
        with self.write() as db:
            job = self.get(id)
            if to not in TRANSITIONS[job.state] or expected not in (None, job.state):
                raise WrongState(f"{job.title} is {job.state}, and so cannot become {to}.")
            self.set(db, id, state=to, **facts)
            return self.get(id)

    def note(self, id: str, **facts):
        """Change facts, not the state."""
        with self.write() as db:
            self.set(db, id, **facts)

    def beat(self, seen: dict[str, float]):
        """These jobs were seen alive, and had run for so many seconds more."""
        with self.write() as db:
            for id, seconds in seen.items():
                db.execute("UPDATE jobs SET heartbeat = ?, ran = ran + ? WHERE id = ?", [time.time(), seconds, id])

    def reorder(self, id: str, place: int, owner: str | None = None):
        """Put a queued job at a place of the queue, 0 first, or of an ``owner``'s part of it. The jobs there share out
        their places anew, and the priorities that go with these."""
        with self.write() as db:
            job = self.get(id)
            if job.state != "queued":
                raise WrongState(f"{job.title} is {job.state}: only a queued job has a place.")
            queued = self.list("queued", owner=owner)
            ids = [other.id for other in queued if other.id != id]
            ids.insert(max(0, place), id)
            for other, slot in zip(ids, queued, strict=True):
                self.set(db, other, priority=slot.priority, place=slot.place)

    def delete(self, id: str):
        """Forget a job that has no process."""
        with self.write() as db:
            job = self.get(id)
            if job.active:
                raise WrongState(f"{job.title} is {job.state}; cancel it first.")
            db.execute("DELETE FROM jobs WHERE id = ?", [id])
