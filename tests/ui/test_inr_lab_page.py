"""The INR Lab's logic, without a browser: a fit is begun, stopped, taken up again, compared and taken away.

The timeline and the stop control move in the browser: those are for tests/browser.
"""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import denoisers
from denoisers.__main__ import main
from denoisers.inr import Trajectory
from ui import fits, inr_lab, services

PAGES = Path(__file__).parents[2] / "pages"
SMALL = {"lab.width": 16, "lab.depth": 1}


@pytest.fixture(autouse=True)
def one_thread(fresh_app):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    for item in list(fits._live):
        fits.stop(item)
    wait(lambda: not any(fits.task(item) and fits.task(item).active for item in fits._live))
    fits._live.clear()
    torch.set_num_threads(before)


def opened(name=None, file="inr_lab.py"):
    page = AppTest.from_file(str(PAGES / file), default_timeout=120)
    if name:
        page.query_params["w"] = name
    return page.run()


def png(pixels, **kwargs):
    return denoisers.images.encode(pixels, "PNG", **kwargs)


def lab(picture, name="photo.png"):
    """The page with a picture, and settings for a small network."""
    page = opened()
    page = page.file_uploader[0].upload(name, picture).run()
    return small(page)


def small(page, steps=40):
    for key, value in SMALL.items():
        page.toggle(key=f"{key}.auto").set_value(False)
        page = page.run()
        page.slider(key=key).set_value(value) if key == "lab.depth" else page.number_input(key=key).set_value(value)
    page.number_input(key="lab.steps.fast").set_value(steps)
    return page.run()


@pytest.fixture
def page(noisy):
    return lab(png(noisy[:48, :64]))


def press(page, label):
    return next(b for b in page.button if b.label == label).click().run()


def labels(page):
    return [b.label for b in page.button]


def wait(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def until_idle(page):
    wait(lambda: not any(task.active for task in services.queue("cpu").tasks.values()))
    return page.run()


def said(page):
    kinds = (page.markdown, page.caption, page.error, page.warning)
    return "\n".join(element.value for kind in kinds for element in kind)


def state(page):
    return page.session_state["workspace"].state


def newest(page):
    return state(page)["lab"]["fits"][-1]


def test_a_newcomer_is_told_what_this_is():
    page = opened()
    assert inr_lab.TITLE in page.title[0].value and "noise last" in said(page)
    assert {b.label for b in page.button} >= {"Cat", "Astronaut"}


def test_a_fit_leaves_curves_outputs_and_where_each_rule_stops(page):
    page = until_idle(press(page, "Start learning"))
    assert "Done: 40 steps" in said(page) and not page.exception and not page.error
    item = newest(page)
    past = fits.course(item)
    assert past.kept[-1] == 40 and len(past.residual) == len(past.kept) and not past.psnr
    for iteration in past.kept:
        shown = services.store().display(f"{item}{iteration:08x}")
        np.testing.assert_array_equal(shown, denoisers.images.as_uint8(past.output(iteration)))
    stops = inr_lab.marks(past, 0.1, 40)
    assert stops["fixed"].iteration == 40 and "clean" in stops["oracle"]
    assert {stops[rule].iteration for rule in ("variance", "held_out", "es_wmv")} <= set(range(41))
    assert "read by" in said(page)


def test_a_sample_has_a_clean_side_and_an_oracle():
    page = small(opened().button(key="sample.Cat").click().run())
    next(s for s in page.selectbox if s.label == "Part").set_value(128)
    page = until_idle(press(page.run(), "Start learning"))
    past = fits.course(newest(page))
    assert len(past.psnr) == len(past.kept) and past.outputs[1].shape == (128, 128, 3)
    assert inr_lab.marks(past, 0.1, 40)["oracle"].iteration == past.kept[int(np.argmax(past.psnr))]


def test_stop_go_on_and_restart(page):
    page.number_input(key="lab.steps.fast").set_value(20_000)
    page = press(page.run(), "Start learning")
    item = newest(page)
    wait(lambda: len(fits.course(item).kept) > 5)
    page = page.run()
    began = time.monotonic()
    page = press(page, "Stop")
    wait(lambda: not fits.task(item).active)
    assert time.monotonic() - began < 60 and fits.task(item).state == "cancelled"
    page = page.run()
    stopped = len(fits.course(item).loss)
    assert f"Stopped at step {stopped} of 20000" in said(page)
    page = press(page, "Go on")
    wait(lambda: len(fits.course(item).loss) > stopped)
    assert fits.course(item).kept == sorted(set(fits.course(item).kept))
    fits.stop(item)
    page = press(until_idle(page), "Restart")
    assert newest(page) != item and len(state(page)["lab"]["fits"]) == 1


def test_a_fit_stops_within_half_a_second(page, monkeypatch):
    """From the wish to the end of the task, in time of the fit's own thread: the machine may be busy."""
    asked = []
    real = fits.Fit.steps

    def steps(self, until, run):
        def cancelled(wish=run.cancelled):
            if wish():
                asked.append(time.thread_time())
            return wish()

        run.cancelled = cancelled
        try:
            yield from real(self, until, run)
        finally:
            asked.append(time.thread_time())

    monkeypatch.setattr(fits.Fit, "steps", steps)
    page.number_input(key="lab.steps.fast").set_value(20_000)
    page = press(page.run(), "Start learning")
    item = newest(page)
    wait(lambda: fits.course(item).kept)
    fits.stop(item)
    until_idle(page)
    assert len(asked) >= 2 and asked[-1] - asked[0] < 0.1


def test_a_click_that_was_on_its_way_when_the_fit_ended_counts(page, monkeypatch):
    """The browser's word is of before the timeline was put to where the fit stops: it is newer all the same."""
    views, told = [], {"frame": None, "turn": None}

    def viewer(layers, view=None, **_):
        views.append(view)
        return told

    monkeypatch.setattr(inr_lab, "comparison_viewer", viewer)
    page.number_input(key="lab.steps.fast").set_value(20_000)
    page = press(page.run(), "Start learning")
    item = newest(page)
    wait(lambda: len(fits.course(item).kept) > 5)
    page.run()
    told["turn"] = views[-1]["turn"]
    page.run()
    assert views[-1]["frame"] is None and fits.task(item).active
    fits.stop(item)
    wait(lambda: not fits.task(item).active)
    page.run()
    assert views[-1]["turn"] != told["turn"] and views[-1]["frame"] is not None  # where it stops by itself
    told["frame"] = 2
    page.run()
    assert (
        views[-1]["frame"] == 2 and views[-1]["force"] and state(page)["lab"]["at"][item] == fits.course(item).kept[2]
    )
    told |= {"turn": views[-1]["turn"], "frame": 3}
    page.run()
    assert state(page)["lab"]["at"][item] == fits.course(item).kept[3]


def test_a_long_fit_leaves_room_for_others(page, monkeypatch):
    monkeypatch.setattr(fits, "SLICE", 0.1)
    page.number_input(key="lab.steps.fast").set_value(20_000)
    page = press(page.run(), "Start learning")
    item = newest(page)
    wait(lambda: fits.course(item).kept)
    other = services.queue("cpu").submit("other", "Another visitor's run", lambda report, cancelled: None)
    wait(lambda: other.state == "done")
    before = len(fits.course(item).loss)
    assert fits.task(item).active
    wait(lambda: len(fits.course(item).loss) > before)


def test_a_fit_that_is_stopped_while_it_waits_keeps_what_it_has(page, monkeypatch):
    monkeypatch.setattr(fits, "SLICE", 0.1)
    page.number_input(key="lab.steps.fast").set_value(20_000)
    page = press(page.run(), "Start learning")
    item, free = newest(page), threading.Event()
    wait(lambda: fits.course(item).kept)
    services.queue("cpu").submit("other", "Another visitor's run", lambda report, cancelled: free.wait() and None)
    wait(lambda: fits.task(item).state == "waiting")
    fits.stop(item)
    free.set()
    kept = fits.course(item).kept
    del fits._live[item]
    assert fits.course(item).kept == kept and services.store().info(item)["iteration"] >= kept[-1]


def test_a_fit_that_blows_up_is_told_and_what_was_good_is_kept(page):
    page.selectbox(key="lab.optimiser").set_value("adam")
    page.toggle(key="lab.lr.auto").set_value(False)
    page = page.run()
    page.select_slider(key="lab.lr").set_value(10.0)
    page.number_input(key="lab.steps.fast").set_value(1000)
    page = until_idle(press(page.run(), "Start learning"))
    assert "blew up" in page.error[0].value and "10 is too large" in page.error[0].value
    past = fits.course(newest(page))
    assert past.outputs and all(np.isfinite(output).all() for output in past.outputs.values())
    assert "Go on" not in labels(page) and "Restart" in labels(page)


def test_all_is_there_after_a_reload_and_a_restart(page):
    page = until_idle(press(page, "Start learning"))
    item, before = newest(page), fits.course(newest(page))
    again = opened(page.query_params["w"])
    assert state(again)["lab"] == state(page)["lab"] and "Go on" in labels(again)
    fits._live.clear()
    services.queue.cache_clear()  # the server was stopped, and started again
    again = opened(page.query_params["w"])
    assert fits.course(item).csv() == before.csv() and list(fits.course(item).outputs) == list(before.outputs)
    assert "Go on" not in labels(again) and "Done: 40 steps" in said(again) and not again.exception


def test_a_fit_lost_in_a_restart_is_told(page):
    page.number_input(key="lab.steps.fast").set_value(20_000)
    page = press(page.run(), "Start learning")
    item = newest(page)
    wait(lambda: fits.course(item).kept)
    fits.stop(item)
    until_idle(page)
    fits._live.clear()
    services.queue.cache_clear()
    assert "Not finished, the server was restarted" in said(opened(page.query_params["w"]))


def test_two_fits_are_laid_over_one_another(page):
    page = until_idle(press(page, "Start learning"))
    page.toggle(key="lab.decay.auto").set_value(False)
    page = page.run()
    page.slider(key="lab.decay").set_value(0.0)
    page = until_idle(press(page.run(), "Start another fit"))
    first, second = state(page)["lab"]["fits"]
    names = [services.store().info(item)["name"] for item in (first, second)]
    assert names[0].startswith("1 · Fast") and names[1].startswith("2 · Fast") and "decay 0" in names[1]
    over = next(s for s in page.selectbox if s.label == "Lay over it")
    page = over.set_value(first).run()
    assert state(page)["lab"]["over"] == first and not page.exception
    chart = json.loads(page.get("plotly_chart")[0].proto.spec)
    assert sum(trace["line"].get("dash") == "dash" for trace in chart["data"] if trace.get("mode") != "markers") >= 3


def test_the_chosen_output_is_in_compares_table(page, noisy, monkeypatch):
    gone = []
    monkeypatch.setattr(st, "switch_page", lambda page, query_params: gone.append(query_params["w"]))
    page = until_idle(press(page, "Start learning"))
    page = press(page, "Compare step 40 with other denoisers")
    assert gone == [page.query_params["w"]]
    other = opened(gone[0], "compare.py")
    name = f"INR, {services.store().info(newest(page))['name']}, step 40"
    assert list(other.dataframe[0].value["Denoiser"]) == [name]
    (result,) = state(other)["runs"]
    np.testing.assert_allclose(services.store().pixels(result), fits.course(newest(page)).output(40))
    assert services.recipe(result)["iteration"] == 40


def test_a_part_is_compared_in_a_workspace_of_its_own(noisy, monkeypatch, tmp_path):
    gone, whole = [], png(np.tile(noisy, (2, 2, 1)))
    monkeypatch.setattr(st, "switch_page", lambda page, query_params: gone.append(query_params["w"]))
    page = lab(whole)
    next(s for s in page.selectbox if s.label == "Part").set_value(128)
    page = until_idle(press(page.run(), "Start learning"))
    before = state(page)["picture"]
    page = press(page, "Compare step 40 with other denoisers")
    assert state(page)["picture"] == before and gone[0] != page.query_params["w"]
    other = opened(gone[0], "compare.py")
    assert "128 × 128 pixels" in said(other) and len(other.dataframe[0].value) == 1
    data, name = routes_file(next(iter(state(other)["runs"])))
    assert denoisers.images.read(data).pixels.shape == (128, 128, 3) and name.endswith(".inr.png")
    # What another denoiser makes of the part can be made again from the whole picture.
    item = services.start(state(other)["picture"], "wavelet", denoisers.spec("wavelet").resolve({}), "cpu")
    until_idle(other)
    (tmp_path / "photo.png").write_bytes(whole)
    (tmp_path / "recipe.json").write_text(json.dumps(services.recipe(item)))
    paths = [str(tmp_path / n) for n in ("photo.png", "again.tif", "recipe.json")]
    assert main(["denoise", paths[0], "-o", paths[1], "--recipe", paths[2], "-q"]) == 0
    again = denoisers.images.read(paths[1]).pixels
    np.testing.assert_allclose(again, services.store().pixels(item), atol=0.51 / 255)


def routes_file(item):
    from ui.routes import file_of

    return file_of(item, "png")


def test_exports(page):
    page = until_idle(press(page, "Start learning"))
    item = newest(page)
    page = until_idle(press(page, "Go on"))
    past, recipe = fits.course(item), fits.recipe(item, 24)
    assert recipe["ends"] == [40, 60] and len(past.loss) == 60
    assert json.loads(json.dumps(recipe))["fit"]["width"] == 16 and recipe["iteration"] == 24
    pixels = services.store().pixels(state(page)["picture"])
    for iteration in (24, 50, None):
        again = denoisers.inr.replay(pixels, json.loads(json.dumps(fits.recipe(item, iteration))))
        np.testing.assert_array_equal(again, past.output(iteration or 60))
    assert Trajectory.read(services.store().folder(item) / "trajectory.npz").csv() == past.csv()


@pytest.mark.parametrize(
    ("shape", "bits"), [((1, 90, 1), 8), ((90, 1, 3), 8), ((1, 2, 1), 8), ((30, 31, 1), 8), ((30, 31, 3), 16)]
)
def test_odd_pictures(shape, bits):
    page = lab(png(np.random.default_rng(0).random(shape, np.float32), bits=bits))
    page = until_idle(press(page, "Start learning"))
    assert "Done" in said(page) and not page.exception and not page.error
    assert fits.course(newest(page)).outputs[1].shape == shape


@pytest.mark.parametrize("shape", [(1, 1, 1), (20, 30, 3)])
def test_one_colour_is_nothing_to_learn(shape):
    page = lab(png(np.full(shape, 0.5, np.float32)))
    assert "nothing to learn" in page.warning[0].value and not page.exception
    assert next(b for b in page.button if b.label == "Start learning").disabled
