"""What the viewer tests share: a browser, the demo server, and reading a view's numbers."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium_path() -> str | None:
    """None means Playwright's own browser."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


def demo_server(log: Path):
    """The viewer's demo on a free port."""
    return serve(HERE / "viewer_demo_app.py", log)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def serve(app: Path, log: Path, env=os.environ, port: int = 0, options=()):
    """An app on that port, or a free one; yields its address."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "streamlit", "run", str(app)]
    command += [f"--server.port={port}", "--server.address=127.0.0.1", "--server.headless=true"]
    command += ["--browser.gatherUsageStats=false", *options]
    with log.open("wb") as output:
        environment = {**env, "PYTHONPATH": str(ROOT)}
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait(address, server, log)
            yield address
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def serve_grainwise(folder: Path, settings=None, port: int = 0, options=()):
    """Grainwise itself, its log and data in a folder, without this machine's settings for it; yields its address."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRAINWISE_")}
    environment |= {"GRAINWISE_DATA": str(folder / "data")} | (settings or {})
    return serve(ROOT / "app.py", folder / "log", environment, port, options)


def _wait(address: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"the demo did not start:\n{log.read_text(errors='replace')}")
