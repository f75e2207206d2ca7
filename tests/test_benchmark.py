"""The benchmark: what it scores, that it goes on where it stopped, and that its numbers come out again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import denoisers
from denoisers import benchmark, weights
from denoisers.__main__ import main
from denoisers.errors import DataError, DenoiserError, ParameterError


@pytest.fixture
def pairs(tmp_path, noisy, astronaut):
    """A folder of two noisy/clean pairs of different sizes."""
    folder = tmp_path / "photos"
    for kind in ("noisy", "clean"):
        (folder / kind).mkdir(parents=True)
    for i in range(2):
        cut = np.s_[: 40 + 8 * i, :48]
        denoisers.images.write(folder / "noisy" / f"{i}.png", noisy[cut])
        denoisers.images.write(folder / "clean" / f"{i}.png", astronaut[cut])
    return folder


def find(results, condition, model):
    (row,) = (r for r in results["rows"] if (r["condition"], r["model"]) == (condition, model))
    return row


def test_pairs_are_scored_as_photographed_and_blind(pairs, tmp_path):
    results = benchmark.benchmark([pairs], tmp_path / "r.json", ["wavelet"])
    assert [(r["set"], r["condition"], r["model"]) for r in results["rows"]] == [
        ("photos", "photographed", "noisy"),
        ("photos", "photographed", "wavelet"),
    ]
    found = find(results, "photographed", "wavelet")
    expected = []
    for name in ("0.png", "1.png"):
        noisy, clean = (denoisers.images.read(pairs / kind / name).pixels for kind in ("noisy", "clean"))
        expected.append(denoisers.metrics.psnr(denoisers.load("wavelet").denoise(noisy).image, clean))
    assert [one["psnr"] for one in found["each"]] == pytest.approx(expected, abs=1e-3)
    assert found["psnr"] == pytest.approx(np.mean(expected), abs=1e-3)
    assert found["psnr"] > find(results, "photographed", "noisy")["psnr"]
    assert found["seconds_per_megapixel"] > 0


def test_clean_pictures_get_every_noise_and_only_white_noise_is_told(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        benchmark, "open_model", lambda name: Spy(denoisers.load(name), lambda given: asked.append(given.get("sigma")))
    )
    results = benchmark.benchmark(["samples"], tmp_path / "r.json", ["tv"], pictures=1, crop=24)
    assert [r["condition"] for r in results["rows"] if r["model"] == "tv"] == list(benchmark.CONDITIONS)
    assert asked[1::2] == [15 / 255, 25 / 255, 50 / 255, None, None]  # before each, one to load what there is to load
    clean = benchmark.Set("samples", 1, 24).open("astronaut").clean
    white = clean + np.float32(25 / 255) * np.random.default_rng(0).standard_normal(clean.shape, np.float32)
    assert find(results, "sigma 25", "noisy")["psnr"] == pytest.approx(denoisers.metrics.psnr(white, clean), abs=1e-3)


class Spy:
    def __init__(self, model, tell):
        self.model, self.spec, self.tell = model, model.spec, tell

    def denoise(self, image, **given):
        self.tell(given)
        return self.model.denoise(image, **given)


def test_grey_stored_as_colour_gets_one_noise(tmp_path):
    grey = np.random.default_rng(0).random((20, 30, 1))
    denoisers.images.write(tmp_path / "grey.png", np.repeat(grey, 3, 2))
    denoisers.images.write(tmp_path / "colour.png", np.dstack([grey, grey, 1 - grey]))
    pictures = benchmark.Set(tmp_path)
    assert pictures.open("grey.png").clean.shape == (20, 30, 1)
    assert benchmark.given(pictures.open("grey.png"), "sigma 25")[0].shape == (20, 30, 1)
    assert pictures.open("colour.png").clean.shape == (20, 30, 3)


def test_it_goes_on_after_the_last_row(pairs, tmp_path, monkeypatch):
    output, ran = tmp_path / "r.json", []
    real = benchmark.row
    monkeypatch.setattr(benchmark, "row", lambda s, c, name, *rest: (ran.append(name), real(s, c, name, *rest))[1])
    first = benchmark.benchmark([pairs], output, ["tv"])
    again = benchmark.benchmark([pairs], output, ["wavelet", "tv"], events=tmp_path / "events.jsonl")
    assert ran == ["noisy", "tv", "wavelet"]
    assert find(again, "photographed", "tv") == find(first, "photographed", "tv")
    assert json.loads(output.read_text()) == again
    told = [json.loads(text) for text in (tmp_path / "events.jsonl").read_text().splitlines()]
    (tmp_path / "stopped.jsonl").write_text(json.dumps(told[1] | {"seconds": 100.0}) + "\n" + '{"event": "ro\n')
    benchmark.benchmark([pairs], output, ["bilateral"], events=tmp_path / "stopped.jsonl")
    assert json.loads((tmp_path / "stopped.jsonl").read_text().splitlines()[-2])["seconds"] >= 100
    last = told[-1]
    assert (last["event"], last["reason"], last["done"]) == ("end", "finished", 3)


def test_a_row_says_on_which_machine_it_was_made_if_not_on_the_first(pairs, tmp_path, monkeypatch):
    file = tmp_path / "r.json"
    first = benchmark.benchmark([pairs], file, ["tv"])["machine"]
    monkeypatch.setattr(benchmark, "machine", lambda: first | {"processor": "another"})
    results = benchmark.benchmark([pairs], file, ["tv", "wavelet"])
    assert results["machine"] == first and benchmark.read(file) == results
    assert "machine" not in find(results, "photographed", "tv")
    assert find(results, "photographed", "wavelet")["machine"]["processor"] == "another"


def test_other_weights_are_scored_anew(pairs, tmp_path, monkeypatch):
    output = tmp_path / "r.json"
    benchmark.benchmark([pairs], output, ["adnet.awgn"])
    facts = json.loads(output.read_text())
    facts["rows"][1] |= {"file": "of another training", "psnr": 99.0}
    output.write_text(json.dumps(facts))
    other = benchmark.benchmark([pairs], output, ["tv"])
    assert find(other, "photographed", "adnet.awgn")["psnr"] == 99  # not asked for
    results = benchmark.benchmark([pairs], output, ["adnet"])
    assert len(results["rows"]) == 3 and find(results, "photographed", "adnet.awgn")["psnr"] < 99


def test_rows_of_other_pictures_are_not_kept(pairs, tmp_path):
    """Another folder of the same name, or the same with a picture more."""
    output = tmp_path / "r.json"
    first = find(benchmark.benchmark([pairs], output, ["tv"]), "photographed", "tv")
    other = shutil.copytree(pairs, tmp_path / "other" / "photos")
    assert find(benchmark.benchmark([other], output, ["tv"]), "photographed", "tv") == first  # a copy is no other
    for kind in ("noisy", "clean"):
        shutil.copy(other / kind / "1.png", other / kind / "2.png")
    found = benchmark.benchmark([other], output, ["tv"])
    assert [len(row["each"]) for row in found["rows"]] == [3, 3]
    denoisers.images.write(other / "noisy" / "2.png", denoisers.images.read(other / "clean" / "2.png").pixels)
    better = benchmark.benchmark([other], output, ["tv"])
    assert find(better, "photographed", "tv")["psnr"] > find(found, "photographed", "tv")["psnr"] + 1


@pytest.mark.parametrize(("damage", "say"), [(lambda data: data[:300], "1.png"), (None, "1.png .* two sizes")])
def test_a_picture_that_cannot_be_scored_is_named_at_once(pairs, tmp_path, damage, say):
    file = pairs / "noisy" / "1.png"
    file.write_bytes(damage(file.read_bytes()) if damage else (pairs / "noisy" / "0.png").read_bytes())
    with pytest.raises(DenoiserError, match=say):
        benchmark.benchmark([pairs], tmp_path / "r.json", ["tv"])
    assert not (tmp_path / "r.json").exists()


def test_other_pictures_need_another_file(pairs, tmp_path):
    benchmark.benchmark([pairs], tmp_path / "r.json", ["tv"])
    with pytest.raises(ParameterError, match="name another file"):
        benchmark.benchmark([pairs], tmp_path / "r.json", ["tv"], crop=16)


def test_networks_say_what_they_cost():
    facts = benchmark.cost("drunet.camera")
    assert facts["parameters"] == weights.entry("drunet", "camera")[1]["parameters"]
    assert 200_000 < facts["macs_per_pixel"] < 400_000  # 17.8 G at 256 x 256
    assert benchmark.cost("nlm") == {}


def test_names_stand_for_all_their_weights():
    assert benchmark.models(["drunet", "nlm"]) == ["drunet.camera", "drunet.awgn", "nlm"]
    assert benchmark.models(["drunet.awgn"]) == ["drunet.awgn"]
    everything = benchmark.models(None)
    assert {name.partition(".")[0] for name in everything} == set(denoisers.names()) - {"own"}


@pytest.mark.parametrize(
    ("sets", "names", "say"),
    [
        (["nowhere"], ["tv"], "nowhere"),
        (["samples"], ["drunet.unheard"], "drunet.unheard"),
        (["samples"], ["unheard"], "unheard"),
        (["samples", "samples"], ["tv"], "same name"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, sets, names, say):
    with pytest.raises(DenoiserError, match=say):
        benchmark.benchmark(sets, tmp_path / "r.json", names)


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"rows": []}'])
def test_a_file_that_holds_no_results_is_told(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DataError, match="r.json"):
        benchmark.read(tmp_path / "r.json")


def test_command_line(tmp_path, capsys):
    words = ["benchmark", "--set", "samples", "-o", str(tmp_path / "r.json"), "--names", "tv,wavelet"]
    assert main([*words, "--pictures", "1", "--crop", "16"]) == 0
    printed = capsys.readouterr().out
    table = [line.split(" | ") for line in printed.splitlines() if line.startswith("|")]
    assert [line[0] for line in table] == ["| ", "| ---", "| noisy", "| tv", "| wavelet"]
    assert "samples, sigma 25" in table[0] and printed.count("**") == 2 * len(benchmark.CONDITIONS)


def test_what_is_left_out_is_said_and_a_set_is_called_as_its_folder_is(pairs, tmp_path, capsys, monkeypatch):
    shutil.copy(pairs / "clean" / "0.png", pairs / "alone.png")
    monkeypatch.chdir(pairs)
    assert main(["benchmark", "--set", ".", "-o", str(tmp_path / "r.json"), "--names", "tv"]) == 0
    printed = capsys.readouterr()
    assert "photos, photographed" in printed.out and "| tv |" in printed.out
    assert "photos: left out:" in printed.err and "alone.png: neither its name nor its folder" in printed.err


def test_published_figures_name_methods_and_conditions_we_have():
    from denoisers.registry import METHODS

    for figure in benchmark.published():
        assert figure["model"] in METHODS
        assert set(figure["scores"]) <= {*benchmark.CONDITIONS, benchmark.PHOTOGRAPHED} and figure["note"]


def test_the_ranking_is_by_kind_of_noise():
    def row(condition, **scores):
        return [{"set": "s", "condition": condition, "model": name, "psnr": psnr} for name, psnr in scores.items()]

    rows = row("photographed", noisy=40, a=30, b=31, c=32) + row("sigma 25", a=29, b=20, c=40)
    rows += row("sigma 50", noisy=14, a=25, b=30) + row("text 25 %", a=1, b=50)
    assert benchmark.ranking({"rows": rows}, white=False) == ["c", "b", "a"]
    assert benchmark.ranking({"rows": rows}, white=True) == ["a", "b"]
    assert benchmark.ranking({"rows": row("text 25 %", a=1)}, white=True) == []


def test_the_shipped_table_is_of_the_shipped_weights():
    results = benchmark.read(Path(__file__).parent.parent / "assets" / "benchmark.json")
    stale = [r["model"] for r in results["rows"] if r["file"] != benchmark.fingerprint(r["model"])]
    assert not stale
    assert {r["model"] for r in results["rows"]} >= {*benchmark.models(None)} - {"bm3d"}  # an extra


def test_networks_run_in_float32_wherever_it_runs(pairs, tmp_path, monkeypatch):
    """A machine whose bfloat16 is fast prints the table that every other prints."""
    asked = []
    monkeypatch.setattr("denoisers.engine.device.cpu_precision", lambda: asked.append(1) or "bfloat16")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    results = benchmark.benchmark([pairs], tmp_path / "r.json", ["adnet.awgn"])
    assert results["machine"]["precision"] == "float32" and not asked
    assert benchmark.machine()["precision"] == "bfloat16" and asked  # no longer than that
