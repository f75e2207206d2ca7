"""The kinds for real: a training and folders of pictures, as jobs and on the command line."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
import zipfile

import numpy as np
import pytest
import torch
from job_helpers import eventually
from safetensors.torch import load_file, save_file
from skimage import data as pictures

from denoisers import images, networks
from denoisers.__main__ import main
from denoisers.errors import DataError, DenoiserError, WeightsError
from denoisers.jobs import NotAllowed, kinds, supervised
from denoisers.jobs.batch import partners

RECIPE = tomllib.loads("""
title = "a test"
method = "drunet"
tag = "test"
network = { architecture = "drunet", widths = [8, 8], blocks = 1 }
data = { clean = ["clean"], crop = [32, 16], batch = 2 }
optimiser = { lr = 1e-3 }
schedule = { steps = 40, warmup = 2, validate_every = 20 }
""")


@pytest.fixture
def folder(tmp_path):
    """data/clean and data/noisy: a dozen pictures of 64 x 64, of the same names."""
    rng = np.random.default_rng(0)
    for name in ("clean", "noisy"):
        (tmp_path / "data" / name / "deep").mkdir(parents=True)
    for i in range(12):
        clean = pictures.astronaut()[64 * (i // 4) :, 64 * (i % 4) :][:64, :64] / 255
        name = f"deep/{i}.png" if i % 2 else f"{i}.png"
        images.write(tmp_path / "data" / "clean" / name, clean)
        images.write(tmp_path / "data" / "noisy" / name, clean + rng.normal(0, 0.1, clean.shape))
    return tmp_path / "data"


def rows(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_training_paused_resumed_and_done(settings, jobs, folder):
    spec = {"recipe": RECIPE | {"schedule": {"steps": 10**6, "warmup": 2, "validate_every": 5}}, "data": folder}
    job = jobs.submit("train", spec | {"minutes": 0.05})  # three seconds of training
    with supervised(settings, tick=0.05):
        eventually(lambda: any(e["event"] == "validation" and e["step"] for e in jobs.events(job.id)[0]), 200)
        jobs.pause(job.id)
        eventually(lambda: jobs.get(job.id).state != "pausing", 200)
        at = kinds.last(jobs.folder(job.id), "step")["step"]
        if jobs.get(job.id).state == "paused":
            jobs.resume(job.id)
        eventually(lambda: jobs.get(job.id).finished, 200)
    assert jobs.get(job.id).state == "done", jobs.logs(job.id)[0]
    assert kinds.last(jobs.folder(job.id), "step")["step"] >= at > 0
    assert load_file(jobs.folder(job.id) / "average.safetensors")
    told = jobs.events(job.id)[0]
    first, default = (next(e for e in told if e["event"] == event) for event in ("validation", "default"))
    assert first["step"] == 0 and told[0]["noisy"]["psnr"] > 10  # what it is compared with
    assert default["weights"].startswith("drunet.") and default["psnr"] > told[0]["noisy"]["psnr"]
    assert {first["preview"], "default.png"} <= {path.name for path in (jobs.folder(job.id) / "previews").iterdir()}


def test_a_training_is_checked_before_it_is_queued(jobs, folder, tmp_path):
    with pytest.raises(DenoiserError, match="architecture"):
        jobs.submit("train", {"recipe": RECIPE | {"network": {"architecture": "unheard"}}, "data": folder})
    for bad in (tmp_path, folder / ".."):
        with pytest.raises(NotAllowed):
            jobs.submit("train", {"recipe": RECIPE, "data": bad})
    with pytest.raises(NotAllowed):
        jobs.submit("train", {"recipe": RECIPE | {"data": {"clean": ["../.."]}}, "data": folder})
    with pytest.raises(DataError, match="64 x 64, smaller than the 96 x 96 of a crop"):
        jobs.submit("train", {"recipe": RECIPE | {"data": {"clean": ["clean"], "crop": [96]}}, "data": folder})
    with pytest.raises(DataError, match="0 noisy/clean pairs"):
        jobs.submit("train", {"recipe": RECIPE | {"data": {"pairs": ["clean"]}}, "data": folder})
    assert not jobs.list()
    job = jobs.submit("train", {"recipe": RECIPE, "data": folder, "minutes": 10**6})
    assert job.spec["minutes"] == 60 * jobs.settings.hours and job.title == "Train drunet.test"


def test_several_gpus_train_together(tmp_path):
    words = kinds.Train(recipe=RECIPE, data=tmp_path, gpus=2).command(tmp_path, "cuda", 2)
    assert words[:5] == ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "denoisers"]


def test_a_batch_job_with_scores(settings, jobs, folder):
    spec = {"source": folder / "noisy", "reference": folder / "clean", "denoiser": "wavelet", "params": {"sigma": 0.1}}
    job = jobs.submit("batch", spec | {"into": "zip"})
    with supervised(settings, tick=0.05):
        eventually(lambda: jobs.get(job.id).finished, 200)
    assert jobs.get(job.id).state == "done", jobs.get(job.id).reason + jobs.logs(job.id)[0]
    run = jobs.folder(job.id)
    assert not list(run.glob("result*/"))
    with zipfile.ZipFile(run / "result.zip") as archive:
        archive.extractall(run / "out")
    table = rows(run / "out" / "results.csv")
    assert sorted(row["picture"] for row in table) == sorted(
        [f"deep/{i}.png" for i in range(1, 12, 2)] + [f"{i}.png" for i in range(0, 12, 2)]
    )
    for row in table:
        assert float(row["psnr"]) > float(row["psnr_before"]) + 1 and row["error"] == ""
        assert row["sigma_of_255"] == "25.5" and row["width"] == row["height"] == "64"
        assert images.read(run / "out" / row["result"]).samples.shape == (64, 64, 3)
    assert jobs.status(job.id).progress == 1


def test_a_batch_with_weights_of_ones_own(settings, jobs, folder, tmp_path):
    """The file is copied, so the job does not need the training it came from; what does not fit is said at once."""
    torch.manual_seed(0)
    mine = tmp_path / "mine.safetensors"
    save_file(networks.build("rednet", layers=10, width=8).state_dict(), mine)
    spec = {"source": folder / "noisy", "denoiser": "rednet"}
    with pytest.raises(NotAllowed):
        jobs.submit("batch", spec | {"weights": str(mine)})
    copy = jobs.put(mine)
    mine.unlink()
    with pytest.raises(WeightsError, match="not the network of drunet"):
        jobs.submit("batch", spec | {"denoiser": "drunet", "weights": str(copy)})
    job = jobs.submit("batch", spec | {"weights": str(copy)})
    assert job.title == "mine on noisy"
    with supervised(settings, tick=0.05):
        eventually(lambda: jobs.get(job.id).finished, 200)
    assert jobs.get(job.id).state == "done", jobs.get(job.id).reason + jobs.logs(job.id)[0]
    assert len(rows(jobs.folder(job.id) / "result" / "results.csv")) == 12


@pytest.mark.parametrize("spec", [{"denoiser": "unheard"}, {"denoiser": "wavelet", "params": {"sigma": 99}}])
def test_a_batch_is_checked_before_it_is_queued(jobs, folder, spec):
    with pytest.raises((DenoiserError, KeyError)):
        jobs.submit("batch", {"source": folder / "noisy", **spec})
    assert jobs.list() == []


def test_damaged_pictures_are_rows_and_the_others_go_on(folder, tmp_path):
    noisy = folder / "noisy"
    (noisy / "0.png").write_bytes(b"no picture")
    (noisy / "deep" / "1.png").write_bytes((noisy / "deep" / "1.png").read_bytes()[:100])
    (folder / "clean" / "2.png").unlink()
    (noisy / "notes.txt").write_text("not a picture, and not meant to be one")
    words = ["batch", str(noisy), "-o", str(tmp_path / "out"), "-d", "wavelet", "--reference", str(folder / "clean")]
    assert main(words) == 0
    table = {row["picture"]: row for row in rows(tmp_path / "out" / "results.csv")}
    assert len(table) == 12
    assert {name for name, row in table.items() if not row["result"]} == {"0.png", "deep/1.png"}
    assert "not a picture" in table["0.png"]["error"] and table["deep/1.png"]["error"]
    assert "no reference" in table["2.png"]["error"] and table["2.png"]["psnr"] == ""
    assert table["4.png"]["psnr"] and not (tmp_path / "out" / "0.png").exists()


def test_zipped_folders_are_partners_for_all_their_own_names(folder, tmp_path):
    for name in ("noisy", "clean"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for path in (folder / name).rglob("*.png"):
                archive.write(path, path.relative_to(folder))
    words = ["batch", str(tmp_path / "noisy.zip"), "-o", str(tmp_path / "OUT.ZIP"), "-d", "wavelet"]
    assert main([*words, "--reference", str(tmp_path / "clean.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "OUT.ZIP") as archive:
        table = list(csv.DictReader(io.StringIO(archive.read("results.csv").decode())))
    assert len(table) == 12 and all(row["psnr"] and row["picture"].startswith("noisy/") for row in table)


def test_partners_by_their_whole_names_come_first():
    assert partners(["a/1.png", "a/2.png"], ["a/1.jpg", "b/1.jpg"]) == {"a/1.png": "a/1.jpg"}
    assert partners(["n/1.png", "n/x/2.png"], ["1.png", "x/2.tif"]) == {"n/1.png": "1.png", "n/x/2.png": "x/2.tif"}


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_file_name_that_is_no_text_is_a_row_like_others(folder, tmp_path):
    shutil.copy(folder / "noisy/0.png", os.path.join(os.fsencode(folder / "noisy"), b"caf\xe9.png"))
    words = ["batch", str(folder / "noisy"), "-o", str(tmp_path / "out.zip"), "-d", "wavelet"]
    assert main(words) == 0 == main(words)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        table = list(csv.DictReader(io.StringIO(archive.read("results.csv").decode())))
        assert len(table) == 13 and all(row["result"] in archive.namelist() for row in table)
    assert "caf\\udce9.png" in {row["picture"] for row in table}


def test_another_call_does_not_pass_for_a_finished_one(folder, tmp_path, capsys):
    def batch(*words):
        return main(["batch", str(folder / "noisy"), *map(str, words)])

    out, packed = tmp_path / "out", tmp_path / "out.zip"
    for output in (out, packed):
        assert batch("-o", output, "-d", "wavelet") == 0
        made = {path: path.read_bytes() for path in tmp_path.rglob("*.png") if path.is_relative_to(out)}
        for other in (["-d", "bilateral"], ["-d", "wavelet", "--strength", "2"]):
            assert batch("-o", output, *other) == 2 and "Name another output" in capsys.readouterr().err
        assert batch("-o", output, "-d", "wavelet") == 0
        assert all(path.read_bytes() == data for path, data in made.items())
    (folder / "noisy" / "new.png").write_bytes((folder / "noisy" / "0.png").read_bytes())
    assert batch("-o", packed, "-d", "wavelet") == 2 and "without 1 of the pictures" in capsys.readouterr().err
    (folder / "noisy" / "0.png").unlink()
    assert batch("-o", out, "-d", "wavelet") == 0 and (out / "new.png").exists()
    assert "Finished" in capsys.readouterr().err


def test_a_zip_leaves_the_folder_of_its_name_alone(folder, tmp_path):
    album = tmp_path / "album"
    album.mkdir()
    (album / "edited.txt").write_text("mine")
    for _ in range(2):
        assert main(["batch", str(folder / "noisy"), "-o", f"{album}.zip", "-d", "wavelet"]) == 0
        assert [path.name for path in album.iterdir()] == ["edited.txt"]
    assert {path.name for path in tmp_path.glob("album*")} == {"album", "album.zip"}


def test_a_zip_in_and_what_it_may_not_do(folder, tmp_path):
    source = tmp_path / "in.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.write(folder / "noisy" / "0.png", "a/0.png")
        archive.writestr("__MACOSX/a/._0.png", b"")
    assert main(["batch", str(source), "-o", str(tmp_path / "out"), "-d", "wavelet"]) == 0
    assert [row["result"] for row in rows(tmp_path / "out" / "results.csv")] == ["a/0.png"]
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("../evil.png", b"")
    assert main(["batch", str(source), "-o", str(tmp_path / "other"), "-d", "wavelet"]) == 2
    assert not (tmp_path / "other").exists() and not (tmp_path / "evil.png").exists()


def test_a_table_of_an_older_version_goes_on_in_its_own_columns(folder, tmp_path):
    words = ["batch", str(folder / "noisy"), "-o", str(tmp_path / "out"), "-d", "wavelet"]
    assert main(words) == 0
    path = tmp_path / "out" / "results.csv"
    older = [name for name in rows(path)[0] if name != "notes"]
    known = [",".join(row[name] for name in older) for row in rows(path)[:3]]
    path.write_text("\n".join([",".join(older), *known]) + "\n")
    assert main(words) == 0
    assert len(rows(path)) == 12 and all(list(row) == older and not row["error"] for row in rows(path))


def test_nothing_to_do_and_nothing_done_are_errors(folder, tmp_path, capsys):
    from denoisers.jobs.batch import batch

    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no PNG"):
        batch(tmp_path / "empty", tmp_path / "out", "wavelet", {})
    (tmp_path / "empty" / "a.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="None of the 1 pictures"):
        batch(tmp_path / "empty", tmp_path / "out", "wavelet", {})
    with pytest.raises(DataError, match="lies within"):
        batch(folder / "noisy", folder / "noisy" / "out", "wavelet", {})


def test_a_killed_batch_goes_on_where_it_stopped(folder, tmp_path):
    for path in (folder / "noisy").rglob("*.png"):  # larger, so that there is time to be killed in
        images.write(path, np.tile(images.read(path).pixels, (2, 2, 1)))
    out, events = tmp_path / "out", tmp_path / "events.jsonl"
    words = ["-m", "denoisers", "batch", folder / "noisy", "-o", out, "-d", "nlm", "--events", events]
    for number in (signal.SIGKILL, signal.SIGTERM):
        known = len(rows(out / "results.csv")) if out.exists() else 0
        process = subprocess.Popen([sys.executable, *map(str, words)])
        eventually(lambda at=known: (out / "results.csv").exists() and len(rows(out / "results.csv")) > at, 100)
        process.send_signal(number)
        assert process.wait(60) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    before = {row["picture"]: os.stat(out / row["result"]).st_mtime_ns for row in rows(out / "results.csv")}
    assert 2 <= len(before) < 12
    with (out / "results.csv").open("a") as file:
        file.write("cut off,cut o")
    assert main([str(word) for word in words[2:]]) == 0
    table = rows(out / "results.csv")
    assert len(table) == len({row["picture"] for row in table}) == 12 and all(row["result"] for row in table)
    assert before == {name: os.stat(out / name).st_mtime_ns for name in before}
    ends = [e for e in map(json.loads, events.read_text().splitlines()) if e["event"] == "end"]
    assert [end["reason"] for end in ends] == ["stopped", "finished"]


def test_a_benchmark_job(settings, jobs, folder):
    with pytest.raises(DenoiserError, match="no denoiser 'unheard'"):
        jobs.submit("benchmark", {"sets": [str(folder)], "names": ["unheard"]})
    with pytest.raises(NotAllowed):
        jobs.submit("benchmark", {"sets": [str(folder / ".." / "..")]})
    job = jobs.submit("benchmark", {"sets": [str(folder)], "names": ["wavelet"], "pictures": 2})
    assert job.title == "Benchmark on data"
    with supervised(settings, tick=0.05):
        eventually(lambda: jobs.get(job.id).finished, 200)
    assert jobs.get(job.id).state == "done", jobs.get(job.id).reason + jobs.logs(job.id)[0]
    found = json.loads((jobs.folder(job.id) / "results.json").read_text())["rows"]
    assert [row["model"] for row in found] == ["noisy", "wavelet"] and found[1]["psnr"] > found[0]["psnr"]
