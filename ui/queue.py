"""Runs, first in, first out, one at a time a device; each can be watched and cancelled."""

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from denoisers.errors import Cancelled, DenoiserError

REMEMBERED = 1000
"""Runs whose end a queue can still tell."""


@dataclass
class Task:
    """One run. ``state``: waiting, running, done, failed or cancelled; ``error``: a sentence for the user."""

    id: str
    title: str
    work: object
    state: str = "waiting"
    fraction: float = 0.0
    error: str = ""
    began: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "running")

    @property
    def remaining(self) -> float | None:
        """Seconds to go at the pace so far; None while that is too early to say."""
        if self.state != "running" or self.fraction < 0.05:
            return None
        return (time.time() - self.began) * (1 - self.fraction) / self.fraction


class Queue:
    """One worker thread. ``work(on_progress, cancelled)`` does the job of a task and keeps its own result.

    If it returns True it has more to do, and goes on after those that wait: a long task leaves room for others.
    """

    def __init__(self, name: str):
        self.tasks: dict[str, Task] = {}
        self.waiting: deque[Task] = deque()
        self.change = threading.Condition()
        threading.Thread(target=self.serve, name=f"queue-{name}", daemon=True).start()

    def submit(self, id: str, title: str, work) -> Task:
        """Queue a run; one with the same id that is still active, and is not asked to stop, is returned instead."""
        with self.change:
            task = self.tasks.get(id)
            if task is None or not task.active or task.stop.is_set():
                self.tasks.pop(id, None)
                task = self.tasks[id] = Task(id, title, work)
                self.waiting.append(task)
                ended = [key for key, old in self.tasks.items() if not old.active]
                for key in ended[: max(0, len(ended) - REMEMBERED)]:
                    del self.tasks[key]
                self.change.notify()
            return task

    def get(self, id: str) -> Task | None:
        return self.tasks.get(id)

    def place(self, task: Task) -> int:
        """1 for the next to run; 0 when it does not wait."""
        with self.change:
            return self.waiting.index(task) + 1 if task in self.waiting else 0

    def cancel(self, id: str):
        with self.change:
            task = self.tasks.get(id)
            if task is None or not task.active:
                return
            task.stop.set()
            if task in self.waiting:
                self.waiting.remove(task)
                task.state, task.work = "cancelled", None

    def serve(self):
        while True:
            with self.change:
                while not self.waiting:
                    self.change.wait()
                task = self.waiting.popleft()
                task.state, task.began = "running", time.time()

            def report(fraction, preview=None, task=task):
                task.fraction = fraction

            try:
                if task.work(report, task.stop.is_set):
                    with self.change:
                        task.state = "waiting"
                        self.waiting.append(task)
                    continue
                task.state = "done"
            except Cancelled:
                task.state = "cancelled"
            except DenoiserError as error:
                task.state, task.error = "failed", str(error)
            except MemoryError:
                task.state, task.error = "failed", "There is not enough memory for this picture here."
            except Exception as error:  # the worker must outlive any run; the user sees what happened
                logging.exception("%s failed", task.title)
                task.state, task.error = "failed", f"{type(error).__name__}: {error}"
            task.work = None
