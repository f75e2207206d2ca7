"""What a running method may say and must ask: progress and cancelling, in one small object."""

import time

from .errors import Cancelled


class Run:
    """Carries ``on_progress(fraction, preview=None)`` and ``cancelled()`` through a method.

    ``step(fraction)`` does both: raises Cancelled if asked to stop, and reports at most ten times a second.
    """

    def __init__(self, on_progress=None, cancelled=None):
        self.on_progress, self.cancelled, self.last = on_progress, cancelled, 0.0

    def poll(self):
        if self.cancelled is not None and self.cancelled():
            raise Cancelled("Stopped; nothing was kept.")

    def step(self, fraction: float, preview=None):
        self.poll()
        now = time.monotonic()
        if self.on_progress is not None and (now - self.last > 0.1 or fraction >= 1):
            self.last = now
            self.on_progress(min(float(fraction), 1.0), preview)

    def part(self, low: float, high: float) -> "Run":
        """A run whose 0..1 is low..high of this one."""

        def report(fraction, preview=None):
            self.on_progress(low + (high - low) * fraction, preview)

        return Run(report if self.on_progress is not None else None, self.cancelled)
