"""What the app keeps, and the order in which it works."""

import os
import threading
import time

import numpy as np
import pytest

import denoisers
from denoisers.errors import Cancelled, DenoiserError, ImageError
from ui.queue import Queue
from ui.store import Store, digest


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, days=1, gigabytes=1)


@pytest.fixture
def photo(noisy):
    return denoisers.images.encode(noisy, "PNG")


def test_an_upload_is_kept_once_under_its_hash(store, photo, noisy):
    item = store.put_upload(photo, "a.png")
    assert item == store.put_upload(photo, "b.png") == digest(photo)
    assert store.info(item)["name"] == "a.png"
    np.testing.assert_allclose(store.pixels(item), noisy, atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(store.display(item), np.round(255 * store.pixels(item)).astype(np.uint8))


def test_a_bad_upload_leaves_nothing(store):
    with pytest.raises(ImageError):
        store.put_upload(b"no picture", "x.png")
    assert not list((store.root / "items").iterdir()) and not list((store.root / "parts").iterdir())


@pytest.mark.parametrize("name", ["..", "../../etc/passwd", "a" * 32 + "/..", "", "A" * 32])
def test_ids_cannot_leave_the_store(store, name):
    with pytest.raises(KeyError):
        store.display(name)
    with pytest.raises(KeyError):
        store.workspace(name)


def test_the_sweep_takes_the_old_and_spares_what_is_in_use(store, photo):
    item = store.put_upload(photo, "a.png")
    old, used = store.new_workspace(), store.new_workspace()
    for name in (old, used):
        store.save_workspace(name, {"picture": item})
        long_ago = time.time() - 2 * 86400
        os.utime(store.root / "workspaces" / f"{name}.json", (long_ago, long_ago))
    os.utime(store.folder(item), (long_ago, long_ago))
    store.sweep(in_use=[used])
    assert store.workspace(used) == {"picture": item} and item in store
    assert not (store.root / "workspaces" / f"{old}.json").exists()
    os.utime(store.root / "workspaces" / f"{used}.json", (long_ago, long_ago))
    store.sweep()
    assert item not in store


def test_runs_go_in_order_and_one_at_a_time():
    queue, order, gate = Queue("test"), [], threading.Event()

    def work(name):
        def run(on_progress, cancelled):
            gate.wait(5)
            order.append(name)

        return run

    tasks = [queue.submit(name, name, work(name)) for name in "abc"]
    time.sleep(0.1)
    assert [queue.place(t) for t in tasks] == [0, 1, 2]
    queue.cancel("b")
    gate.set()
    deadline = time.time() + 5
    while tasks[2].active and time.time() < deadline:
        time.sleep(0.01)
    assert order == ["a", "c"] and [t.state for t in tasks] == ["done", "cancelled", "done"]


def test_a_failure_is_told_and_the_queue_goes_on():
    queue = Queue("test")

    def refuse(on_progress, cancelled):
        raise DenoiserError("No such thing.")

    def endless(on_progress, cancelled):
        while not cancelled():
            time.sleep(0.01)
        raise Cancelled

    failed, stopped = queue.submit("1", "one", refuse), queue.submit("2", "two", endless)
    time.sleep(0.2)
    queue.cancel("2")
    deadline = time.time() + 5
    while stopped.active and time.time() < deadline:
        time.sleep(0.01)
    assert (failed.state, failed.error, stopped.state) == ("failed", "No such thing.", "cancelled")
