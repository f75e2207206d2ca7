"""What the app keeps, and the order in which it works."""

import asyncio
import gc
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save

import denoisers
from denoisers import networks
from denoisers.errors import Cancelled, DenoiserError, ImageError
from ui import addresses, routes, services, workspace
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
    assert item == store.put_upload(photo, "a.png") == digest(photo, "a.png")
    # Another visitor's copy goes by its own name, and does not tell them the first one's.
    assert store.info(store.put_upload(photo, "b.png"))["name"] == "b.png" and store.info(item)["name"] == "a.png"
    np.testing.assert_allclose(store.pixels(item), noisy, atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(store.display(item), np.round(255 * store.pixels(item)).astype(np.uint8))


def test_a_weight_file_keeps_the_name_that_each_visitor_gave_it(store):
    data = save(networks.build("noise2same_unet", width=8).state_dict())
    mine, yours = (store.put_weights(data, name) for name in ("mine.safetensors", "yours.safetensors"))
    assert Path(mine).name == "mine.safetensors" and Path(yours).name == "yours.safetensors"
    methods = [store.info(Path(path).parent.name)["method"] for path in (mine, yours)]
    pro = store.put_weights(data, "mine.safetensors", "noise2same_pro")
    assert [*methods, store.info(Path(pro).parent.name)["method"]] == ["noise2same", "noise2same", "noise2same_pro"]
    assert store.put_weights(data, "mine.safetensors") == mine and Path(pro).read_bytes() == Path(mine).read_bytes()


@pytest.mark.parametrize("left", [None, ""])
def test_half_an_item_is_none(store, photo, left):
    item = store.put_upload(photo, "a.png")
    facts = store.folder(item) / "info.json"
    facts.unlink() if left is None else facts.write_text(left)
    assert item not in store and not store.hold(item)
    name = store.new_workspace()
    store.save_workspace(name, {"picture": item})
    store.sweep()
    assert store.put_upload(photo, "a.png") == item and store.info(item)["name"] == "a.png"


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
    queue, order, begun, gate = Queue("test"), [], threading.Event(), threading.Event()

    def work(name):
        def run(on_progress, cancelled):
            begun.set()
            gate.wait(5)
            order.append(name)

        return run

    tasks = [queue.submit(name, name, work(name)) for name in "abc"]
    assert begun.wait(5) and [queue.place(t) for t in tasks] == [0, 1, 2]
    queue.cancel("b")
    gate.set()
    deadline = time.time() + 5
    while tasks[2].active and time.time() < deadline:
        time.sleep(0.01)
    assert order == ["a", "c"] and [t.state for t in tasks] == ["done", "cancelled", "done"]


def test_what_is_asked_for_again_while_it_stops_is_done_after_all():
    queue, begun, stopped = Queue("test"), threading.Event(), threading.Event()

    def slow_to_stop(on_progress, cancelled):
        begun.set()
        while not cancelled():
            time.sleep(0.01)
        stopped.wait(5)
        raise Cancelled

    first = queue.submit("a", "a", slow_to_stop)
    assert begun.wait(5)
    queue.cancel("a")
    second = queue.submit("a", "a", lambda on_progress, cancelled: None)
    stopped.set()
    deadline = time.time() + 5
    while second.active and time.time() < deadline:
        time.sleep(0.01)
    assert (first.state, second.state, queue.get("a")) == ("cancelled", "done", second)


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


def test_what_a_result_was_made_from_stays_with_it(store, photo):
    clean = store.put_upload(photo, "a.png")
    noisy, result, stray = (digest(name) for name in ("noisy", "result", "stray"))
    for item, facts in ((noisy, {"clean": clean}), (result, {"picture": noisy}), (stray, {})):
        store.put(item, facts, np.zeros((1, 1, 3), np.uint8))
    store.save_workspace(store.new_workspace(), {"runs": {result: {}}})
    long_ago = time.time() - 7200
    for item in (clean, noisy, result, stray):
        os.utime(store.folder(item), (long_ago, long_ago))
    assert list(store.lineage(result)) == [result, noisy, clean]
    store.sweep()
    assert clean in store and noisy in store and result in store and stray not in store


def test_what_a_part_was_cut_from_stays_with_its_result(store):
    items = dict(clean={}, whole={"clean": digest("clean")}, part={"crop": {"of": digest("whole")}})
    for name, facts in (items | {"result": {"picture": digest("part")}}).items():
        store.put(digest(name), facts, np.zeros((1, 1, 3), np.uint8))
        os.utime(store.folder(digest(name)), (time.time() - 7200,) * 2)
    store.save_workspace(store.new_workspace(), {"runs": {digest("result"): {}}})
    store.sweep()
    assert all(digest(name) in store for name in items)


def test_a_part_that_fails_to_be_written_leaves_nothing(store):
    def fails(part):
        (part / "blob").write_bytes(b"half")
        raise IndexError("of whatever made it")

    with pytest.raises(IndexError):
        store.keep(digest("x"), fails)
    assert not list((store.root / "parts").iterdir())


def test_the_clean_partner_of_a_part_stays_with_its_fit(store):
    items = dict(crop={}, partner={}, fit={"picture": digest("crop"), "reference": digest("partner")})
    for name, facts in items.items():
        store.put(digest(name), facts, np.zeros((1, 1, 3), np.uint8))
        os.utime(store.folder(digest(name)), (time.time() - 7200,) * 2)
    store.save_workspace(store.new_workspace(), {"lab": {"fits": [digest("fit")]}})
    store.sweep()
    assert all(digest(name) in store for name in items)


def test_an_item_asked_for_again_outlives_the_next_sweep(store, photo):
    item = store.put_upload(photo, "a.png")
    long_ago = time.time() - 7200
    os.utime(store.folder(item), (long_ago, long_ago))
    assert store.put_upload(photo, "a.png") == item
    store.sweep()
    assert item in store


def test_over_the_limit_the_oldest_workspace_goes_and_an_open_one_stays(tmp_path, photo, noisy):
    store = Store(tmp_path, days=30, gigabytes=0)
    items = [store.put_upload(photo, "a.png"), store.put_upload(denoisers.images.encode(noisy, "TIFF"), "b.tif")]
    spaces = [store.new_workspace(), store.new_workspace()]
    long_ago = time.time() - 7200
    for item, space in zip(items, spaces, strict=True):
        store.save_workspace(space, {"picture": item})
        os.utime(store.root / "workspaces" / f"{space}.json", (long_ago, long_ago))
        os.utime(store.folder(item), (long_ago, long_ago))
    store.sweep(in_use={spaces[0]})
    assert items[0] in store and items[1] not in store


@pytest.mark.parametrize("trouble", [OSError("No space left on device"), ValueError("half an info.json")])
def test_the_server_sweeps_again_and_again_whatever_happens(trouble, monkeypatch):
    swept = []

    class Disk:
        def sweep(self, in_use):
            swept.append(in_use)
            if len(swept) == 1:
                raise trouble

    async def serve():
        async with routes.lifespan(None):
            for _ in range(500):
                await asyncio.sleep(0.01)
                if len(swept) >= 3:
                    return

    monkeypatch.setattr(routes, "SWEEP_EVERY", 0.01)
    monkeypatch.setattr(services, "store", Disk)
    monkeypatch.setattr(workspace, "in_use", lambda: {"open"})
    warmed = threading.Event()
    monkeypatch.setattr(services, "devices", warmed.set)
    asyncio.run(serve())
    assert len(swept) >= 3 and swept[0] == {"open"} and warmed.is_set()


def test_a_workspace_is_in_use_while_its_session_lives(fresh_app, monkeypatch):
    session = {}
    monkeypatch.setattr(workspace.st, "query_params", {})
    monkeypatch.setattr(workspace.st, "session_state", session)
    name = workspace.current().name
    assert name in workspace.in_use()
    session.clear()
    gc.collect()
    assert name not in workspace.in_use()


def test_a_queue_forgets_the_oldest_of_the_runs_that_ended(monkeypatch):
    monkeypatch.setattr("ui.queue.REMEMBERED", 2)
    queue = Queue("test")
    for name in "abcde":
        task = queue.submit(name, name, lambda on_progress, cancelled: None)
        while task.active:
            time.sleep(0.001)
    assert list(queue.tasks) == ["c", "d", "e"]


def test_two_visitors_share_one_model(fresh_app):
    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda _: services.model("drunet", "awgn", "cpu"), range(4)))
    assert all(model is models[0] for model in models)


def test_what_is_one_a_server_is_made_once_however_many_ask():
    made, gate = [], threading.Barrier(8)

    @services.once
    def thing(name):
        time.sleep(0.05)
        made.append(name)
        return object()

    def ask():
        gate.wait()
        return thing("a")

    with ThreadPoolExecutor(8) as pool:
        answers = {future.result() for future in [pool.submit(ask) for _ in range(8)]}
    assert len(answers) == 1 and made == ["a"]


def test_half_an_info_json_does_not_end_the_sweep(store, photo):
    damaged, old = store.put_upload(photo, "a.png"), store.put_upload(photo, "b.png")
    store.save_workspace("w" * 22, {"picture": damaged})
    path = store.folder(damaged) / "info.json"
    path.write_text(path.read_text()[:20])
    for item in (damaged, old):
        os.utime(store.folder(item), (0, 0))
    store.sweep()
    assert old not in store and damaged not in store
    with pytest.raises(KeyError):
        store.info(damaged)
    assert store.put_upload(photo, "a.png") == damaged and damaged in store


def test_results_do_not_outlive_the_code_that_made_them(monkeypatch):
    before = services.result_id("picture", "tv", None, {})
    monkeypatch.setattr(services, "code", lambda: "another")
    assert services.result_id("picture", "tv", None, {}) != before


@pytest.mark.parametrize(("base", "address"), [("", "/download/a.png"), ("/some/where/", "/some/where/download/a.png")])
def test_addresses_are_below_the_path_that_the_app_is_served_under(monkeypatch, base, address):
    monkeypatch.setattr("streamlit.get_option", {"server.baseUrlPath": base}.get)
    assert addresses.at("/download/a.png") == address
