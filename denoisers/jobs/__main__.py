"""``python -m denoisers.jobs``: work the jobs folder without the app, until Ctrl-C or SIGTERM."""

import logging
import signal
import sys
import threading

from .settings import from_environment
from .store import JobError
from .supervisor import Supervisor


def main():
    logging.basicConfig(format="%(asctime)s %(message)s")
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    try:
        settings = from_environment()
    except JobError as error:
        sys.exit(f"error: {error}")
    print(f"Working the jobs in {settings.root}.", file=sys.stderr)
    Supervisor(settings).serve(stop)


if __name__ == "__main__":
    main()
