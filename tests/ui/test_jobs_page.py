"""The Jobs page's logic, without a browser: what it tells of jobs in every state, and what its buttons do.

The runs are written here as the jobs' commands write them; tests/jobs has them done for real.
"""

import asyncio
import json
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image
from safetensors.torch import save_file
from starlette.requests import Request
from streamlit.testing.v1 import AppTest

from denoisers import images, networks
from denoisers.jobs import Jobs, Visitor
from denoisers.jobs.batch import working_folder
from denoisers.jobs.settings import from_environment
from denoisers.training import recipe as recipes
from ui import jobs as page_parts
from ui import run_files, services

PAGE = Path(__file__).parents[2] / "pages" / "jobs.py"
RECIPE = {
    "title": "Camera, 5 to 45 of 255",
    "method": "drunet",
    "tag": "mine",
    "network": {"architecture": "drunet", "widths": [8, 8], "blocks": 1},
    "data": {"clean": ["."]},
}

pytestmark = pytest.mark.usefixtures("with_jobs")


@pytest.fixture
def mine():
    return Jobs(from_environment(), Visitor())


def opened(job=None, name=None):
    page = AppTest.from_file(str(PAGE), default_timeout=120)
    if job:
        page.query_params["job"] = job.id
    if name:
        page.query_params["w"] = name
    return page.run()


def said(page):
    kinds = (page.markdown, page.caption, page.error, page.info, page.warning)
    return "\n".join(element.value for kind in kinds for element in kind).replace("\\", "")


def press(page, label):
    return next(b for b in page.button if b.label == label).click().run()


def labels(page):
    return {b.label for b in page.button}


def training(mine, title="Train drunet.mine"):
    """A queued training, as the Train page queues it."""
    spec = {"recipe": recipes.parse(RECIPE).model_dump(mode="json", exclude_none=True), "data": "."}
    id = f"{time.strftime('%y%m%d-%H%M%S')}-{len(mine.store.list()):08x}"
    (mine.settings.root / "runs" / id).mkdir(parents=True)
    return mine.store.add(id, kind="train", title=title, spec=spec, executor="local", owner="")


def tell(mine, job, *events):
    with (mine.folder(job.id) / "events.jsonl").open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def learn(mine, job, steps=(0, 10, 20), clean=True):
    """What a training leaves behind after some steps: events, a preview a validation, its network."""
    run = mine.folder(job.id)
    (run / "previews").mkdir(exist_ok=True)
    noisy = {"noisy": {"psnr": 20.0, "ssim": 0.5}} if clean else {}
    tell(mine, job, {"event": "start", "step": 0, "seconds": 0, "parameters": 1234, "device": "cpu", **noisy})
    for step in steps:
        name = f"{step:07d}.png"
        Image.fromarray(np.full((64, 96 if clean else 64, 3), step, np.uint8)).save(run / "previews" / name)
        scores = {"psnr": 18.0 + step, "ssim": 0.5 + step / 100} if clean else {}
        progress = {"progress": step / 40, "pictures_per_second": 12.5, "loss": 1 / (step + 1), "lr": 1e-3}
        tell(mine, job, {"event": "validation", "step": step, "seconds": step, "preview": name, **scores})
        tell(mine, job, {"event": "train", "step": step, "seconds": step, "megapixels": step, **progress})
    save_file(networks.build("drunet", widths=[8, 8], blocks=1).state_dict(), run / "average.safetensors")


def finish(mine, job):
    (mine.folder(job.id) / "previews" / "default.png").write_bytes(
        (mine.folder(job.id) / "previews" / "0000000.png").read_bytes()
    )
    default = {"event": "default", "weights": "drunet.camera", "psnr": 30.5, "ssim": 0.9, "preview": "default.png"}
    end = {"event": "end", "reason": "finished", "step": 20, "seconds": 20, "megapixels": 20, "date": "2030-01-01"}
    tell(mine, job, default, end)
    mine.store.move(job.id, "running")
    mine.store.move(job.id, "done", progress=1.0)


def test_without_jobs_the_page_says_what_to_do():
    page = opened()
    assert "No jobs yet" in said(page) and not page.exception


@pytest.mark.parametrize(
    ("claims", "name"), [({"email": "a@b.c", "sub": "1"}, "a@b.c"), ({"sub": "1"}, "1"), ({}, None)]
)
def test_a_visitor_is_known_by_what_the_provider_tells(monkeypatch, claims, name):
    monkeypatch.setattr(st, "user", claims)
    assert page_parts.visitor().user == name


def test_where_jobs_are_off_the_page_says_so(monkeypatch):
    monkeypatch.setenv("GRAINWISE_JOBS", "off")
    from_environment.cache_clear()
    page = opened()
    assert "switched off here" in page.info[0].value and not page.file_uploader and not page.exception


def test_a_running_training_is_told_with_its_curves(mine):
    job = training(mine)
    mine.store.move(job.id, "running", heartbeat=time.time(), handle={"pid": 1})
    learn(mine, job)
    page = opened()
    assert "Running" in said(page) and "50% · about 20 seconds left · 12.5 pictures a second" in said(page)
    assert {"Pause", "End it", "Duplicate", "Use in Compare"} <= labels(page) and "Delete it" not in labels(page)
    curves = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    assert [curve["layout"]["title"]["text"] for curve in curves] == [
        "PSNR on held-back pictures (dB)",
        "Loss",
        "Learning rate",
    ]
    assert len(curves[0]["data"][0]["x"]) == 3


def test_a_running_job_nobody_watches_is_told(mine):
    job = training(mine)
    mine.store.move(job.id, "running", heartbeat=time.time() - 3600, handle={"pid": 1})
    assert "Nobody watches it" in said(opened())


def test_what_a_killed_attempt_told_beyond_its_checkpoint_is_forgotten(mine):
    job = training(mine)
    learn(mine, job)
    told = page_parts.Told()
    assert [e["step"] for e in told.read_on(mine, job.id)][-1] == 20
    tell(mine, job, {"event": "start", "step": 10, "seconds": 10})
    assert {e["step"] for e in told.read_on(mine, job.id)} == {0, 10}
    tell(mine, job, {"event": "train", "step": 12, "seconds": 12})
    assert [e["step"] for e in told.read_on(mine, job.id)][-1] == 12
    for _ in range(2):
        tell(mine, job, {"event": "problem", "path": "a.png", "reason": "It is damaged."})
    assert sum(e["event"] == "problem" for e in told.read_on(mine, job.id)) == 1


def test_the_buttons_do_what_they_say(mine):
    first, second = training(mine), training(mine, "Train another")
    page = opened(second)
    page = press(page, "Run next")
    assert [job.id for job in mine.list()] == [second.id, first.id]
    page = press(page, "Pause")
    assert mine.get(second.id).state == "paused" and "Paused" in said(page)
    page = press(page, "Resume")
    assert mine.get(second.id).state == "queued"
    page = press(page, "End it")
    assert mine.get(second.id).state == "cancelled"
    page = press(page, "Delete it")
    assert [job.id for job in mine.list()] == [first.id] and not page.exception


def test_a_job_is_chosen_and_the_link_remembers_it(mine):
    training(mine, "Train one")
    second = training(mine, "Train two")
    page = opened()
    assert "#### Train one" in said(page)
    page = page.button(key=f"open.{second.id}").click().run()
    assert "#### Train two" in said(page) and page.query_params["job"] == second.id


def test_the_job_that_is_shown_stays_when_another_comes_first(mine):
    first, second = training(mine, "Train one"), training(mine, "Train two")
    page = opened()
    assert "#### Train one" in said(page) and page.query_params["job"] == first.id
    mine.cancel(first.id)
    page.run()
    assert "#### Train one" in said(page)
    press(page, "Delete it")
    assert [job.id for job in mine.list()] == [second.id]
    assert "#### Train two" in said(page) and page.query_params["job"] == second.id


def test_a_link_to_a_job_that_is_gone_says_so(mine):
    job = training(mine)
    page = AppTest.from_file(str(PAGE), default_timeout=120)
    page.query_params["job"] = "gone"
    assert "There is no job gone" in said(page.run()) and f"#### {job.title}" not in said(page)


def test_a_failed_job_says_why_and_can_be_tried_again(mine):
    job = training(mine)
    mine.store.move(job.id, "failed", reason="The loss became nan at step 3: try a lower learning rate.")
    page = opened()
    assert "try a lower learning rate" in page.error[0].value.replace("\\", "")
    press(page, "Try again")
    assert mine.get(job.id).state == "queued"


def test_what_cannot_be_done_is_told(mine, monkeypatch):
    job = training(mine)
    page = opened()
    mine.store.move(job.id, "cancelled")  # in another window
    page = press(page, "Pause")
    assert "is cancelled" in page.error[0].value and not page.exception


def test_a_finished_training_is_compared_and_described(mine):
    job = training(mine)
    learn(mine, job)
    finish(mine, job)
    page = opened()
    table = page.dataframe[0].value
    assert dict(zip(table[""], table["PSNR (dB)"], strict=True)) == {
        "Noisy pictures": 20.0,
        "Before this training": 18.0,
        "Grainwise's drunet.camera": 30.5,
        "This training": 38.0,
    }
    card = next(m.value for m in page.markdown if m.value.startswith("### drunet.mine"))
    for fact in ("Camera, 5 to 45 of 255", "20 steps", "38.00 dB", "SHA-256", "2030-01-01", "random weights"):
        assert fact in card


def test_without_clean_pictures_there_is_no_score_and_that_is_told(mine):
    job = training(mine)
    learn(mine, job, clean=False)
    mine.store.move(job.id, "running", heartbeat=time.time(), handle={"pid": 1})
    page = opened()
    assert "no clean pictures to measure against" in said(page) and len(page.get("plotly_chart")) == 2


def test_a_preview_is_taken_apart_into_panes(mine):
    job = training(mine)
    run = mine.folder(job.id)
    (run / "previews").mkdir()
    rows = [
        np.concatenate([np.full((8, 8, 3), 30 * row + column, np.uint8) for column in range(3)], 1) for row in (1, 2)
    ]
    Image.fromarray(np.concatenate(rows)).save(run / "previews" / "a.png")
    for place in range(3):
        shown = services.store().display(page_parts.pane(run, "a.png", place, 3))
        assert shown.shape == (8, 16, 3) and (shown[:, :8] == 30 + place).all() and (shown[:, 8:] == 60 + place).all()


def test_the_network_is_taken_to_compare(mine, monkeypatch):
    went = []
    monkeypatch.setattr(st, "switch_page", lambda page, query_params: went.append((Path(page).name, query_params)))
    job = training(mine)
    learn(mine, job)
    finish(mine, job)
    page = press(opened(), "Use in Compare")
    space = page.session_state["workspace"]
    assert went == [("compare.py", {"w": space.name})]
    (path,) = space["files"]["drunet"]
    assert space["chosen"]["drunet"]["weights"] == path and Path(path).name == "drunet.mine.safetensors"


def test_downloads_need_the_address_that_was_shown(mine):
    job = training(mine)
    learn(mine, job)
    answer = fetch(run_files.address(job.id, "average.safetensors", "a ä.safetensors"))
    assert answer.status_code == 200 and answer.path == mine.folder(job.id) / "average.safetensors"
    assert "a%20%C3%A4.safetensors" in answer.headers["content-disposition"]
    good, log = (run_files.signature(job.id, name) for name in ("average.safetensors", "log.txt"))
    (mine.folder(job.id) / "log.txt").touch()
    for bad in (
        f"{'0' * 32}/average.safetensors",
        f"{good}/log.txt",
        f"{log}/log.txt",
    ):
        assert fetch(f"/job/{job.id}/{bad}").status_code == 404


def fetch(address):
    path, _, query = address.partition("?")
    _, _, id, signature, name = path.split("/")
    params = {"id": id, "signature": signature, "name": name}
    return asyncio.run(run_files.send(Request({"type": "http", "path_params": params, "query_string": query.encode()})))


def zipped(path):
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a.png", "b.png"):
            archive.writestr(name, images.encode(np.full((20, 30, 3), 0.5), "PNG"))
    return path.read_bytes()


def test_many_pictures_are_queued_and_their_results_told(mine, tmp_path):
    page = opened()
    page = page.file_uploader(key="batch.zip.0").upload("holiday.zip", zipped(tmp_path / "in.zip")).run()
    page = next(s for s in page.selectbox if s.label == "Denoiser").set_value("wavelet").run()
    page = press(page, "Denoise them all")
    (job,) = mine.list()
    assert job.title == "wavelet on holiday" and job.spec["into"] == "zip"
    run = mine.folder(job.id)
    folder = working_folder(run / "result.zip")
    folder.mkdir()
    rows = "a.png,a.png,30,20,12.5,,,,0.1,\nb.png,,,,,,,,0.2,'b.png' is damaged.\n"
    (folder / "results.csv").write_text(
        "picture,result,width,height,sigma_of_255,psnr_before,psnr,ssim,seconds,error\n" + rows
    )
    page = opened(job)
    assert "1 pictures denoised, 1 could not be." in said(page)
    assert list(page.dataframe[0].value["Picture"]) == ["a.png", "b.png"]
    assert "is damaged" in page.dataframe[0].value["Error"][1]


def test_many_pictures_with_ones_own_network(mine, tmp_path):
    torch.manual_seed(0)
    torch.save(networks.build("rednet", layers=10, width=8).state_dict(), tmp_path / "night.pth")
    page = opened()
    path = services.store().put_weights((tmp_path / "night.pth").read_bytes(), "night.pth")
    page.session_state["workspace"].update(files={"rednet": [path]})
    page = page.run().file_uploader(key="batch.zip.0").upload("holiday.zip", zipped(tmp_path / "in.zip")).run()
    page = next(s for s in page.selectbox if s.label == "Denoiser").set_value("rednet").run()
    page = press(page.selectbox(key="batch.rednet.weights").set_value(path).run(), "Denoise them all")
    (job,) = mine.list()
    assert job.title == "night on holiday" and not page.exception
    assert Path(job.spec["weights"]).read_bytes() == Path(path).read_bytes() and job.spec["weights"] != path


def test_a_zip_without_pictures_is_explained(mine, tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("notes.txt", "none")
    page = opened()
    page = page.file_uploader(key="batch.zip.0").upload("in.zip", (tmp_path / "in.zip").read_bytes()).run()
    page = press(page, "Denoise them all")
    assert "holds no PNG" in page.error[0].value and not mine.list()


def test_a_folder_of_the_server_is_queued_and_others_are_refused(mine, tmp_path, monkeypatch):
    for name in ("open", "closed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(images.encode(np.full((20, 30, 3), 0.5), "PNG"))
    monkeypatch.setenv("GRAINWISE_JOBS_FOLDERS", str(tmp_path / "open"))
    from_environment.cache_clear()
    page = opened()
    page = press(page.selectbox(key="batch.folder.0").set_value(str(tmp_path / "open")).run(), "Denoise them all")
    assert [job.title for job in mine.list()] == ["drunet on open"]
    (tmp_path / "open" / "away").symlink_to(tmp_path / "closed")
    page = page.run().selectbox(key="batch.folder.1").set_value(str(tmp_path / "open" / "away")).run()
    page = press(page, "Denoise them all")
    assert "not in the folders that jobs may read" in page.error[0].value and len(mine.list()) == 1


def test_a_benchmark_shows_its_table_and_leads_to_its_page_once_it_has_ended(mine, monkeypatch):
    went = []
    monkeypatch.setattr(st, "switch_page", lambda page, query_params: went.append((page, query_params["job"])))
    id = "290101-000000-0000abcd"
    run = mine.settings.root / "runs" / id
    run.mkdir(parents=True)
    row = {"set": "mine", "condition": "photographed", "model": "wavelet", "psnr": 31.25, "ssim": 0.9}
    facts = {"grainwise": "1", "date": "", "machine": {}, "pictures": None, "crop": None, "rows": [row]}
    (run / "results.json").write_text(json.dumps(facts))
    mine.store.add(id, kind="benchmark", title="Benchmark on mine", spec={}, executor="local", owner="")
    mine.store.move(id, "running")
    page = opened()
    assert "31.25" in said(page) and "wavelet" in said(page) and not page.exception
    assert "Open on the Benchmark page" not in labels(page)
    mine.store.move(id, "done")
    press(page.run(), "Open on the Benchmark page")
    assert went == [(page_parts.PAGES / "benchmark.py", id)] and went[0][0].is_absolute() and went[0][0].exists()
