"""The Benchmark page's logic: the table says what the file says, and a number's pictures open in Compare."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from denoisers import benchmark as scores
from denoisers.jobs import Jobs
from denoisers.jobs.settings import Visitor, from_environment
from ui import benchmark, services, workspace

PAGE = Path(__file__).parents[2] / "pages" / "benchmark.py"

pytestmark = pytest.mark.usefixtures("fresh_app")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    path = tmp_path_factory.mktemp("benchmark") / "r.json"
    scores.benchmark(["samples"], path, ["tv", "wavelet", "adnet"], pictures=2, crop=24)
    return path


@pytest.fixture
def page(results, monkeypatch):
    monkeypatch.setenv("GRAINWISE_BENCHMARK", str(results))
    return AppTest.from_file(str(PAGE), default_timeout=60).run()


def test_the_table_says_what_the_file_says(page, results):
    assert not page.exception and not page.error
    frame = page.dataframe[0].value
    rows = json.loads(results.read_text())["rows"]
    assert frame.loc["Total variation", "sigma 25"] == next(
        r["psnr"] for r in rows if (r["model"], r["condition"]) == ("tv", "sigma 25")
    )
    assert list(frame.index)[-1] in ("The noisy picture itself", "Total variation")  # best first
    assert "ADNet (awgn)" in frame.index


def test_a_file_that_is_no_benchmark_is_told(tmp_path, monkeypatch):
    (tmp_path / "r.json").write_text("{}")
    monkeypatch.setenv("GRAINWISE_BENCHMARK", str(tmp_path / "r.json"))
    page = AppTest.from_file(str(PAGE), default_timeout=60).run()
    assert "holds no results" in page.error[0].value and not page.exception


@pytest.mark.parametrize("text", [None, "{}"])
def test_first_choices_are_ours_where_the_results_named_cannot_be_read(tmp_path, monkeypatch, text):
    ours = services.ranking(white=False)
    services.ranking.cache_clear()
    if text:
        (tmp_path / "r.json").write_text(text)
    monkeypatch.setenv("GRAINWISE_BENCHMARK", str(tmp_path / "r.json"))
    assert services.ranking(white=False) == ours and len(services.first_choices()) == 3
    services.ranking.cache_clear()


def test_results_of_more_pictures_than_the_page_offers_are_shown(with_jobs, results, tmp_path, monkeypatch):
    facts = json.loads(results.read_text()) | {"pictures": 2000, "crop": 20000}
    (tmp_path / "r.json").write_text(json.dumps(facts))
    monkeypatch.setenv("GRAINWISE_BENCHMARK", str(tmp_path / "r.json"))
    assert not AppTest.from_file(str(PAGE), default_timeout=60).run().exception


def test_files_of_other_installations_and_empty_ones_are_shown(results, tmp_path, monkeypatch):
    facts = json.loads(results.read_text()) | {"crop": 8}
    facts["rows"] = [row | {"model": row["model"].replace("tv", "of_the_future")} for row in facts["rows"]]
    facts["rows"][-1]["machine"] = facts["machine"] | {"processor": "A [processor]"}
    (tmp_path / "r.json").write_text(json.dumps(facts))
    monkeypatch.setenv("GRAINWISE_BENCHMARK", str(tmp_path / "r.json"))
    page = AppTest.from_file(str(PAGE), default_timeout=60).run()
    assert not page.exception and "of_the_future" in page.dataframe[0].value.index
    assert any("Not timed like the others" in c.value and "A \\[processor" in c.value for c in page.caption)
    (tmp_path / "r.json").write_text(json.dumps(facts | {"rows": []}))
    page = AppTest.from_file(str(PAGE), default_timeout=60).run()
    assert not page.exception and "no rows" in page.info[0].value


@pytest.mark.parametrize("condition", ["sigma 25", "text 25 %"])
def test_compare_scores_the_pictures_behind_a_number_alike(results, condition):
    """What opens in Compare has the pixels that were scored, and its runs come to the scores of the table."""
    rows = json.loads(results.read_text())["rows"]
    row = next(r for r in rows if (r["model"], r["condition"]) == ("tv", condition))
    one = row["each"][1]
    space = workspace.Workspace(services.store().new_workspace())
    picture = scores.Set("samples", crop=24).open(one["picture"])
    benchmark.open_in_compare(space, picture, condition, ["tv", "adnet.awgn"])
    np.testing.assert_array_equal(
        services.store().pixels(space["picture"]), scores.given(picture, condition)[0].astype(np.float32)
    )
    assert space["chosen"]["adnet"]["weights"] == "awgn"
    (item,) = (i for i, run in space["runs"].items() if run["name"] == "tv")
    until = time.monotonic() + 60
    while item not in services.store() and time.monotonic() < until:
        time.sleep(0.05)
    found = services.scores(item, space["reference"])
    assert found["psnr"] == pytest.approx(one["psnr"], abs=2e-3)


def test_pictures_that_are_not_here_are_said_to_be_missing(results, tmp_path, monkeypatch):
    facts = json.loads(results.read_text())
    for row in facts["rows"]:
        row["set"] = "elsewhere"
    (tmp_path / "r.json").write_text(json.dumps(facts))
    monkeypatch.setenv("GRAINWISE_BENCHMARK", str(tmp_path / "r.json"))
    page = AppTest.from_file(str(PAGE), default_timeout=60).run()
    assert any("not on this server" in caption.value for caption in page.caption)
    assert next(b for b in page.button if b.label == "Open in Compare").disabled


def test_it_can_be_run_again_as_a_job(with_jobs, results, monkeypatch):
    went = []
    monkeypatch.setattr(st, "switch_page", lambda page, query_params: went.append((page.name, query_params["job"])))
    monkeypatch.setenv("GRAINWISE_BENCHMARK", str(results))
    page = AppTest.from_file(str(PAGE), default_timeout=60).run()
    next(m for m in page.multiselect if m.label == "Denoisers" and not m.value).set_value(["tv"])
    page = next(b for b in page.button if b.label == "Start").click().run()
    (job,) = Jobs(from_environment(), Visitor()).list()
    assert job.kind == "benchmark" and went == [("jobs.py", job.id)] and not page.exception
    assert job.spec | {"sets": ["samples"], "names": ["tv"], "pictures": 2, "crop": 24} == job.spec


def test_the_results_of_a_job_are_shown_in_place_of_grainwise_s_own(with_jobs, page, results):
    jobs = Jobs(from_environment(), Visitor())
    job = jobs.submit("benchmark", {"sets": ["samples"], "names": ["tv"]})
    facts = json.loads(results.read_text())
    for row in facts["rows"]:
        row["psnr"] += 7
    jobs.folder(job.id).mkdir(parents=True, exist_ok=True)
    (jobs.folder(job.id) / "results.json").write_text(json.dumps(facts))
    own = page.dataframe[0].value
    page.query_params["job"] = job.id
    page.run()
    shown, name = page.dataframe[0].value, "Total variation"
    assert not page.exception and shown.loc[name].tolist() == (own.loc[name] + 7).tolist()
    next(b for b in page.button if b.label == "Grainwise's own results").click().run()
    assert page.dataframe[0].value.equals(own) and "job" not in page.query_params


def test_the_results_of_a_job_that_is_not_the_visitor_s_are_refused(page):
    page.query_params["job"] = "290101-000000-0000abcd"
    page.run()
    assert page.error and not page.exception and "Total variation" in page.dataframe[0].value.index


def test_labels_of_near_points_do_not_cover_each_other():
    points = {"apart": (1, 30), "a twin": (10, 32), "twin b": (10, 32.1), "c twin": (10.2, 32), "far": (100, 40)}
    points |= {f"crowd {i}": (50, 35 + i / 100) for i in range(9)}
    places = benchmark.label_places(points, 20)
    assert places["apart"] and places["far"] and len({places["a twin"], places["twin b"], places["c twin"]}) == 3
    assert not all(places.values())  # no room for all of the crowd
    row = {f"a model of long name {i}": (2**i, 21 + i) for i in range(9)}
    assert all(benchmark.label_places(row, 20).values())
    assert 0 < sum(map(bool, benchmark.label_places(row, 20, benchmark.PHONE).values())) < 9
