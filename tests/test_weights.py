"""Every entry of the catalogue: complete, whole, and better than what it was given."""

import hashlib
from datetime import date

import pytest
from safetensors.torch import save_file

import denoisers
from denoisers import weights
from denoisers.errors import WeightsError
from denoisers.metrics import psnr
from denoisers.training import recipe
from tests.parameters import asked, corrupted

ENTRIES = [(name, tag) for name, tags in weights.catalogue().items() for tag in tags]
WORDS = (
    "file sha256 architecture recipe noise device optimiser date storage validation training_data data_terms licence"
)
NUMBERS = "parameters steps megapixels minutes"


@pytest.mark.parametrize(("name", "tag"), ENTRIES)
def test_entry_is_complete_and_true(name, tag):
    entry = weights.catalogue()[name][tag]
    assert all(isinstance(entry[key], str) and entry[key] for key in WORDS.split())
    assert all(entry[key] > 0 for key in NUMBERS.split()) and tag in denoisers.spec(name).weights
    assert date.fromisoformat(entry["date"])
    trained = recipe.load(weights.FOLDER.parent / entry["recipe"])
    assert trained.name == f"{name}.{tag}"
    assert trained.network == {"architecture": entry["architecture"]} | entry["arguments"]
    free = "Research-only" not in entry["data_terms"]
    assert free == (trained.data.pairs == []) == (entry["licence"] == "Apache-2.0")
    assert hashlib.sha256((weights.FOLDER / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
    network = weights.read_ours(name, tag)
    assert sum(p.numel() for p in network.parameters()) == entry["parameters"]


def test_all_files_are_listed_and_small_enough_to_clone():
    files = {f.name: f.stat().st_size for f in weights.FOLDER.glob("*.safetensors")}
    assert set(files) == {weights.catalogue()[name][tag]["file"] for name, tag in ENTRIES}
    assert sum(files.values()) < 120e6


@pytest.mark.parametrize(("name", "tag"), ENTRIES)
def test_weights_are_much_better_than_nothing(name, tag, astronaut):
    noisy, margin = corrupted(astronaut, tag)
    restored = denoisers.load(name, tag, device="cpu").denoise(noisy, **asked(name, sigma=25 / 255)).image
    assert psnr(restored, astronaut) > psnr(noisy, astronaut) + margin


def test_damaged_and_missing_weights_are_named(tmp_path, monkeypatch):
    with pytest.raises(WeightsError, match="drunet.nope"):
        weights.entry("drunet", "nope")
    entry = weights.catalogue()["drunet"]["awgn"]
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    with pytest.raises(WeightsError, match="missing"):
        weights.read_network("drunet", "awgn", "cpu")
    (tmp_path / entry["file"]).write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="damaged"):
        weights.read_network("drunet", "awgn", "cpu")


def test_a_copy_of_our_file_is_the_same_network(tmp_path):
    """Both lie under the file's SHA-256 in the cache: whichever is read first serves for both."""
    facts = weights.catalogue()["drunet"]["camera"]
    copy = tmp_path / "mine.safetensors"
    copy.write_bytes((weights.FOLDER / facts["file"]).read_bytes())
    assert weights.read_network("drunet", str(copy), "cpu").discrepancy == facts["discrepancy"]
    assert not hasattr(weights.read_network("drunet", "awgn", "cpu"), "discrepancy")


@pytest.mark.parametrize(
    ("origin", "settles"),
    [
        ({"start": "drunet.camera", "noise": "camera"}, True),
        ({"start": "drunet.camera", "noise": "gaussian"}, False),
        ({"start": "drunet.awgn", "noise": "camera"}, False),
        ({"noise": "camera"}, False),
    ],
)
def test_weights_trained_on_from_ours_settle_the_level_as_ours_do(tmp_path, origin, settles):
    save_file(weights.read_ours("drunet", "camera").state_dict(), tmp_path / "mine.safetensors", metadata=origin)
    assert hasattr(weights.read_network("drunet", str(tmp_path / "mine.safetensors"), "cpu"), "discrepancy") == settles


def test_a_network_is_loaded_once_and_shared(monkeypatch):
    import threading

    loads, read = [], weights.read_network
    monkeypatch.setattr(weights, "read_network", lambda *a: loads.append(a) or read(*a))
    cache = weights.NetworkCache()
    threads = [threading.Thread(target=cache.get, args=("drunet", "awgn", "cpu")) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(loads) == 1
