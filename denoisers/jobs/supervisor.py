"""Carries out what the store says: starts what is queued, watches what runs, ends what shall end, notes what it saw.

One supervisor works a jobs folder at a time: the one that holds the lock of ``supervisor.lock``, which the system frees
when its process ends, however it ends. Others, in further processes of the app, stand by.

Closed in order, a supervisor has its local jobs save and stop; they are queued and go on under the next one. Killed,
it leaves them running; the next one finds them by the store's record and watches on.
"""

import errno
import fcntl
import json
import logging
import math
import os
import re
import shutil
import signal
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import DenoiserError
from . import kinds
from .local import Local
from .settings import Settings, size
from .store import ACTIVE, Job, Store, Unavailable, WrongState

TICK = 0.5
"""Seconds between two looks at the store."""
BEAT = 5.0
"""Seconds between two heartbeats of a running job."""
GRACE = 30.0
"""Seconds that a job has to save and exit before it is ended."""
STUMBLES = 3
"""Interruptions in a row without any progress after which a job has failed."""
ROOM = 64_000_000
"""Bytes of free disk below which a job that failed has failed for that."""
RESERVE = 1_000_000
"""Bytes kept for the record of jobs on a full disk."""
ATTEMPT = "--- attempt "
"""Begins the line of the log above each attempt."""
HOUR = 3600
JOB_ID = re.compile(r"\d{6}-\d{6}-[0-9a-f]{8}")


class Supervisor:
    def __init__(self, settings: Settings, tick: float = TICK, grace: float = GRACE):
        self.settings, self.tick, self.grace = settings, tick, grace
        self.store = Store(settings.root / "jobs.sqlite")
        self.executors = {"local": Local(settings.cpu, settings.gpus)}
        if settings.ray:
            from .ray import Ray

            self.executors["ray"] = Ray(settings.ray, settings.ray_python, settings.ray_gpus)
        self.asked: dict[str, float] = {}
        """When each job that shall end was asked to."""
        self.closing, self.kept = False, -math.inf
        """Whether the supervisor is about to end, and when it last kept house."""
        self.said: set[str] = set()
        """Troubles logged since then: each once."""
        self.reserve = settings.root / "reserve"
        """A file to give up when the disk is full, so that the record can still be written."""

    def folder(self, job: Job) -> Path:
        return self.settings.root / "runs" / job.id

    def serve(self, stop: threading.Event):
        """Work until ``stop``, from when the lock is free."""
        with (self.settings.root / "supervisor.lock").open("w") as lock:
            while not locked(lock):
                if stop.wait(self.tick):
                    return
            while not stop.wait(self.tick):
                self.look()
            self.closing = True
            # What the record cannot take by then, the next supervisor finds out.
            end = time.monotonic() + self.grace + 10
            while self.guarded(self.local_jobs) and time.monotonic() < end:
                self.look()
                time.sleep(min(self.tick, 0.1))

    def local_jobs(self) -> list[Job]:
        return [job for job in self.store.list(*ACTIVE) if job.executor == "local"]

    def sweep(self):
        """Remove run folders and uploads that no job has: left by a deletion or a submission that was cut short."""
        jobs = self.store.list()
        known, named = {job.id for job in jobs}, " ".join(json.dumps(job.spec) for job in jobs)
        for run in (self.settings.root / "runs").glob("*"):
            if JOB_ID.fullmatch(run.name) and run.name not in known and age(run) > HOUR:
                shutil.rmtree(run, ignore_errors=True)
        for upload in self.settings.uploads.glob("*"):
            if upload.name not in named and age(upload) > 24 * HOUR:
                shutil.rmtree(upload, ignore_errors=True)

    def look(self):
        """One round over all jobs. A job that another process has changed meanwhile is left for the next round."""
        for job in self.guarded(self.store.list, *ACTIVE) or []:
            self.guarded(self.attend, job)
        if self.closing:
            return
        if time.monotonic() - self.kept > 60:
            self.guarded(self.keep_house)
        for job in self.guarded(self.store.list, "queued") or []:
            self.guarded(self.begin, job)

    def guarded(self, act, *args):
        """What ``act`` returns. It may fail, on a full disk, with a cluster out of reach: then that is logged and tried
        again in the next round, and the other jobs go on."""
        try:
            return act(*args)
        except WrongState:
            pass
        except Exception as error:
            full = isinstance(error, sqlite3.OperationalError) and "full" in str(error)
            if full and self.reserve.exists():
                self.reserve.unlink()
            elif (said := f"{act.__name__}: {error}") not in self.said:
                self.said.add(said)
                logging.exception("Jobs: %s", act.__name__)

    def keep_house(self):
        """Once a minute: what nobody wants goes, what is too much ends, and the record keeps room for its last word."""
        self.kept = time.monotonic()
        self.said.clear()
        self.guarded(self.sweep)
        self.guarded(self.limit_disk)
        if not self.reserve.exists() and shutil.disk_usage(self.settings.root).free > ROOM:
            self.reserve.write_bytes(bytes(RESERVE))

    # starting

    def begin(self, job: Job):
        executor, run = self.executors.get(job.executor), self.folder(job)
        if executor is None:
            return self.wait(job, "It waits for a Ray cluster; GRAINWISE_JOBS_RAY names none.")
        try:
            kind = kinds.parse(job.kind, job.spec)
            slot = executor.slot(kind, [j.slot for j in self.store.list(*ACTIVE) if j.executor == job.executor])
        except Unavailable as error:
            return self.wait(job, str(error))
        except (DenoiserError, ValueError) as error:
            self.store.move(job.id, "failed", reason=f"It cannot run here. {error}", ended=time.time())
            return
        if slot is None:
            return
        now = time.time()
        facts = dict(attempts=job.attempts + 1, started=now, heartbeat=now, ended=0, handle=None, slot=slot, reason="")
        job = self.store.move(job.id, "running", expected="queued", **facts)
        try:
            run.mkdir(parents=True, exist_ok=True)
            open_attempt(run, job.attempts)
            kind.prepare(run)
            executor.start(kind, run, slot, job.attempts, lambda handle: self.store.note(job.id, handle=handle))
        except (OSError, DenoiserError) as error:
            full = isinstance(error, OSError) and error.errno == errno.ENOSPC
            reason = DISK_FULL if full else f"It could not be started. {error}"
            self.store.move(job.id, "failed", reason=reason, handle=None, slot="", ended=time.time())

    def wait(self, job: Job, reason: str):
        if job.reason != reason:
            self.store.note(job.id, reason=reason)

    # watching

    def attend(self, job: Job):
        executor, run = self.executors.get(job.executor), self.folder(job)
        if job.handle is None:  # a supervisor was killed between claiming and starting it
            return self.conclude(job, None)
        if executor is None:
            return self.wait(job, "Nobody watches it: GRAINWISE_JOBS_RAY names no cluster.")
        if not executor.alive(job.handle, run):
            return self.conclude(job, executor.exit_status(job.handle, run))
        now = time.time()
        if now - job.heartbeat > BEAT:
            self.store.beat({job.id: now - job.heartbeat})
        if job.state != "running" or (self.closing and job.executor == "local"):
            if job.id not in self.asked:
                self.asked[job.id] = now
                executor.stop(job.handle, run)
            elif now - self.asked[job.id] > self.grace:
                executor.stop(job.handle, run, force=True)
        # A kind keeps to the limit itself; this is for one that does not.
        elif job.ran > 1.1 * 3600 * self.settings.hours + 600:
            self.end(job, f"It ran longer than the {self.settings.hours:g} hours that a job has here.")

    def end(self, job: Job, reason: str):
        self.store.move(job.id, "cancelling", expected="running", reason=reason)

    def limit_disk(self):
        """Where the jobs hold more than they may, end the running one that holds most."""
        running = [job for job in self.store.list("running") if job.executor in self.executors]
        if running and size(self.settings.root) > self.settings.gigabytes * 1e9:
            largest = max(running, key=lambda job: size(self.folder(job)))
            reason = f"All jobs together hold more than {self.settings.gigabytes:g} GB, the limit here. Delete some."
            with suppress(WrongState):
                self.end(largest, reason)

    # ending

    def conclude(self, job: Job, code: int | None):
        """Its process is gone; what became of the job? ``code``: exit status, negative for a signal, None unknown."""
        run, asked = self.folder(job), self.asked.pop(job.id, None) is not None
        failure = why(run, code) if code is not None and code > 0 and job.handle else ""
        for part in run.rglob("*.part"):  # unfinished writes; on a full disk they take the room that the record needs
            part.unlink(missing_ok=True)
        now, share = time.time(), kinds.progress(run)["progress"]
        stumbles, reason = 0, ""
        if kinds.finished(run):
            to = "done"
        elif job.state == "cancelling":
            to, reason = ("failed" if job.reason else "cancelled"), job.reason
        elif failure:
            to, reason = "failed", failure
        elif job.state == "pausing":
            to = "paused"
        else:
            to, reason = "queued", f"Interrupted at {share:.0%}{by(code)}; it goes on from its last checkpoint."
            if job.handle and not asked and share <= job.progress:
                stumbles = job.stumbles + 1
            if stumbles >= STUMBLES:
                to = "failed"
                reason = f"It was interrupted {stumbles} times in a row{by(code)}, without getting on."
                reason += " Perhaps there is too little memory for it." if code == -signal.SIGKILL else ""
        facts = dict(reason=reason, handle=None, slot="", progress=max(share, job.progress), stumbles=stumbles)
        facts |= dict(ran=job.ran + min(now - job.heartbeat, 2 * BEAT) if job.handle else job.ran)
        self.store.move(job.id, to, expected=job.state, **facts, ended=now if to != "queued" else 0)


def locked(file) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def open_attempt(run: Path, attempt: int):
    """Prepare events and log for another attempt: a line that a crash cut off is ended, the next stands alone."""
    for name in ("events.jsonl", "log.txt"):
        text = kinds.tail(run / name, 1)
        with (run / name).open("a") as file:
            file.write("\n" if text not in ("", "\n") else "")
    with (run / "log.txt").open("a") as log:
        log.write(f"{ATTEMPT}{attempt}, {time.strftime('%Y-%m-%d %H:%M:%S')} ---\n")


DISK_FULL = "The disk is full. What was saved last is whole: make room, then resume the job."


def why(run: Path, code: int) -> str:
    """The sentence for an exit status that is an error, from the attempt's log."""
    log = kinds.tail(run / "log.txt").rpartition(ATTEMPT)[2]
    lines = [line.strip() for line in log.splitlines()[1:] if line.strip()]
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if os.strerror(errno.ENOSPC) in log:
        return DISK_FULL
    if said:
        return said[-1]
    if shutil.disk_usage(run).free < ROOM:  # not every library says so, and the log may have had no room either
        return DISK_FULL
    return f"It ended with an error: {lines[-1]}" if lines else f"It ended with exit status {code} and no message."


def by(code: int | None) -> str:
    """ " by signal 9 (Killed)", or nothing where that is not known."""
    return f" by signal {-code} ({signal.strsignal(-code)})" if code is not None and code < 0 else ""


@contextmanager
def supervised(settings: Settings, **options):
    """A supervisor in a thread, for the length of a with block; none where jobs are switched off."""
    if settings.who == "off":
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=Supervisor(settings, **options).serve, args=[stop], name="jobs")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
