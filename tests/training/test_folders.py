"""Every naming scheme, on small files; what does not fit is named."""

import os
from pathlib import Path

import numpy as np
import pytest

from denoisers.errors import DataError
from denoisers.images import write
from denoisers.training import folders


def picture(seed=0, size=(6, 8, 3)):
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)


def save(root: Path, *names, size=(6, 8, 3)):
    """Small pictures of different content, one a name; upper-case suffixes too."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, picture(hash_of(name), size), format=path.suffix.lower())


def hash_of(name):
    return sum(name.encode())


def found(root, what=folders.pairs, **options):
    """Examples as (noisy, target, scene) with paths relative to ``root``."""
    return [(*(p and p.relative_to(root).as_posix() for p in e[:2]), e.scene) for e in what(root, **options)]


@pytest.mark.parametrize(
    "noisy, clean",
    [
        ("noisy/a.png", "clean/a.png"),
        ("Noisy/a.PNG", "GT/A.jpg"),
        ("input/deep/a.webp", "groundtruth/deep/a.tif"),
        ("lq/a.bmp", "target/a.png"),
        ("train_noisy/a.png", "train_clean/a.png"),
        ("input_crops/a.png", "target_crops/a.png"),
        ("noisy/a_noisy.png", "clean/a_clean.png"),
        ("noisy/a_noisy.png", "clean/a.png"),
        ("noisy_50/a.png", "clean/a.png"),
        ("a_noisy.png", "a_clean.png"),
        ("noisy_a.png", "gt_a.png"),
        ("x/a-input.JPG", "x/a-reference.TIFF"),
        ("a/noisy.png", "a/clean.png"),
    ],
)
def test_pairs_by_name(tmp_path, noisy, clean):
    save(tmp_path, noisy, clean)
    assert [e[:2] for e in found(tmp_path)] == [(noisy, clean)]
    assert not folders.pairs(tmp_path).problems


def test_words_that_are_part_of_names_do_not_mislead(tmp_path):
    for name in ("real_madrid.png", "clean_room.png", "room.png", "input.png"):
        save(tmp_path, f"noisy/{name}", f"clean/{name}")
    assert {Path(n).name: Path(t).name for n, t, _ in found(tmp_path)} == {
        name: name for name in ("real_madrid.png", "clean_room.png", "room.png", "input.png")
    }
    assert len(folders.pairs(tmp_path)) == 4
    save(tmp_path / "other", "cleaner_noisyish.png", "target1.png")
    with pytest.raises(DataError, match="neither its name nor its folder"):
        folders.pairs(tmp_path / "other")


def test_equal_names_in_different_sets_stay_apart(tmp_path):
    save(tmp_path, *(f"{s}_{kind}/1.png" for s in ("train", "val") for kind in ("noisy", "clean")))
    assert [e[:2] for e in found(tmp_path)] == [
        ("train_noisy/1.png", "train_clean/1.png"),
        ("val_noisy/1.png", "val_clean/1.png"),
    ]


def test_numbered_shots_share_one_clean_picture(tmp_path):
    save(tmp_path, "a_noisy1.png", "a_noisy2.png", "a_clean.png", "s/noisy_1.png", "s/noisy_2.png", "s/gt.png")
    assert [e[:2] for e in found(tmp_path)] == [
        ("a_noisy1.png", "a_clean.png"),
        ("a_noisy2.png", "a_clean.png"),
        ("s/noisy_1.png", "s/gt.png"),
        ("s/noisy_2.png", "s/gt.png"),
    ]
    assert len({e.scene for e in folders.pairs(tmp_path)}) == 2


def test_sidd(tmp_path):
    medium, small = "0001_001_S6_00100_00060_3200_L", "0047_003_GP_10000_08460_5500_N"
    save(tmp_path, *(f"{medium}/0001_{kind}_SRGB_{n}.PNG" for kind in ("NOISY", "GT") for n in ("010", "011")))
    save(tmp_path, f"{small}/NOISY_SRGB_010.PNG", f"{small}/GT_SRGB_010.PNG")
    assert found(tmp_path) == [
        (f"{medium}/0001_NOISY_SRGB_010.PNG", f"{medium}/0001_GT_SRGB_010.PNG", "SIDD/001"),
        (f"{medium}/0001_NOISY_SRGB_011.PNG", f"{medium}/0001_GT_SRGB_011.PNG", "SIDD/001"),
        (f"{small}/NOISY_SRGB_010.PNG", f"{small}/GT_SRGB_010.PNG", "SIDD/003"),
    ]
    assert folders.pairs(tmp_path).layouts == {"SIDD": 3}
    # One instance given alone keeps its scene; its two shots are a noisy pair.
    assert {e.scene for e in folders.pairs(tmp_path / medium)} == {"SIDD/001"}
    assert [(n[-7:], t[-7:]) for n, t, _ in found(tmp_path, folders.noisy_pairs)] == [
        ("010.PNG", "011.PNG"),
        ("011.PNG", "010.PNG"),
    ]


def test_renoir(tmp_path):
    batch = "Mi3_Aligned/Batch_001/"
    save(tmp_path, *(batch + f"IMG_{n}.bmp" for n in ("2331Reference", "2333Noisy", "2335Noisy", "2337full")))
    save(tmp_path, "Mi3_Aligned/Batch_002/IMG_1Reference.bmp", "Mi3_Aligned/Batch_002/IMG_2Noisy.bmp")
    save(
        tmp_path, "T3i_Aligned/Batch_001/IMG_1Reference.bmp", "T3i_Aligned/Batch_001/IMG_2Noisy.bmp", batch + "Mask.bmp"
    )
    pairs = found(tmp_path)
    assert [(n[len(batch) :], t[len(batch) :]) for n, t, _ in pairs[:4]] == [
        ("IMG_2333Noisy.bmp", "IMG_2331Reference.bmp"),
        ("IMG_2333Noisy.bmp", "IMG_2337full.bmp"),
        ("IMG_2335Noisy.bmp", "IMG_2331Reference.bmp"),
        ("IMG_2335Noisy.bmp", "IMG_2337full.bmp"),
    ]
    scenes = ["RENOIR/Mi3_Aligned/Batch_001"] * 4 + ["RENOIR/Mi3_Aligned/Batch_002", "RENOIR/T3i_Aligned/Batch_001"]
    assert [scene for _, _, scene in pairs] == scenes
    assert [p.path.name for p in folders.pairs(tmp_path).problems] == ["Mask.bmp"]
    assert [(n[-13:], t[-13:]) for n, t, _ in found(tmp_path, folders.noisy_pairs)] == [
        ("IMG_2333Noisy.bmp"[-13:], "IMG_2335Noisy.bmp"[-13:]),
        ("IMG_2335Noisy.bmp"[-13:], "IMG_2333Noisy.bmp"[-13:]),
    ]


def test_nind(tmp_path):
    shots = ("200", "200-2", "6400", "H1")
    save(tmp_path, *(f"banana/NIND_banana_ISO{iso}.jpg" for iso in shots), "NIND_lone_ISO400.jpg")
    save(tmp_path, "NIND_MuseeL-Bobo_ISO200.jpg", "NIND_MuseeL-Bobo_ISOH2.jpg")
    save(tmp_path, "NIND_MuseeL-Bobo-C500D_ISO100.jpg", "NIND_MuseeL-Bobo-C500D_ISO3200.jpg")
    isos = [(n.rpartition("ISO")[2], t.rpartition("ISO")[2], scene) for n, t, scene in found(tmp_path)]
    assert sorted(isos) == [
        ("3200.jpg", "100.jpg", "NIND/MuseeL-Bobo"),
        ("6400.jpg", "200-2.jpg", "NIND/banana"),
        ("6400.jpg", "200.jpg", "NIND/banana"),
        ("H1.jpg", "200-2.jpg", "NIND/banana"),
        ("H1.jpg", "200.jpg", "NIND/banana"),
        ("H2.jpg", "200.jpg", "NIND/MuseeL-Bobo"),
    ]
    assert folders.pairs(tmp_path).problems == [(tmp_path / "NIND_lone_ISO400.jpg", "the only ISO of its scene")]
    noisy = [(n.rpartition("ISO")[2], t.rpartition("ISO")[2]) for n, t, _ in found(tmp_path, folders.noisy_pairs)]
    assert noisy == [("6400.jpg", "H1.jpg"), ("H1.jpg", "6400.jpg")]


def test_polyu(tmp_path):
    names = ["Canon5D2_5_160_3200_bag", "Canon80D_8_8_3200_ball_11", "Canon80D_8_8_3200_ball_6", "Nikon_D800_box_2"]
    save(tmp_path, *(f"{name}_{kind}.JPG" for name in names for kind in ("mean", "Real")))
    pairs = found(tmp_path)
    assert [e[:2] for e in pairs] == [(f"{name}_Real.JPG", f"{name}_mean.JPG") for name in names]
    assert pairs[1][2] == pairs[2][2] and len({e[2] for e in pairs}) == 3
    assert folders.pairs(tmp_path).layouts == {"PolyU": 4}


def test_scenes_of_numbered_crops_and_of_mere_numbers(tmp_path):
    save(tmp_path, *(f"polyu/{kind}/{n}.jpg" for kind in ("noisy", "clean") for n in ("bag_0", "bag_1", "toy_0")))
    save(tmp_path, *(f"mine/{kind}/img_{n:03}.jpg" for kind in ("noisy", "clean") for n in range(4)))
    assert [e.scene for e in folders.pairs(tmp_path / "polyu")] == ["polyu/bag", "polyu/bag", "polyu/toy"]
    assert len({e.scene for e in folders.pairs(tmp_path / "mine")}) == 4
    assert len({e.scene for e in folders.pairs(tmp_path)}) == 6


def test_an_accent_is_the_same_however_it_is_written(tmp_path):
    save(tmp_path, "noisy/cafe\u0301.png", "clean/caf\u00e9.png")
    assert len(folders.pairs(tmp_path)) == 1


def test_noisy_pairs_of_ones_own(tmp_path):
    save(tmp_path, "tree/1.png", "tree/2.png", "tree/3.png", "car/a.jpg", "car/clean.jpg")
    save(
        tmp_path, "noisy1/x.png", "noisy2/x.png", "x_noisy1.png", "x_noisy2.png", "noisy/p.png", "noisy/q.png", "r.png"
    )
    assert [e[:2] for e in found(tmp_path, folders.noisy_pairs)] == [
        ("noisy1/x.png", "noisy2/x.png"),
        ("noisy2/x.png", "noisy1/x.png"),
        ("tree/1.png", "tree/2.png"),
        ("tree/2.png", "tree/3.png"),
        ("tree/3.png", "tree/1.png"),
        ("x_noisy1.png", "x_noisy2.png"),
        ("x_noisy2.png", "x_noisy1.png"),
    ]
    problems = {p.path.relative_to(tmp_path).as_posix(): p.reason for p in folders.noisy_pairs(tmp_path).problems}
    assert set(problems) == {"car/a.jpg", "noisy/p.png", "noisy/q.png", "r.png"}
    assert problems["car/a.jpg"] == "the only noisy shot of its scene"
    assert problems["r.png"] == "not in a folder of shots of one scene"


def test_lone_pictures_leave_the_others_out_and_say_so(tmp_path):
    save(tmp_path, "noisy/a.png", "clean/a.png", "b.png", "noisy/c.png", "NIND_x_ISO200.png", "NIND_x_ISO800.png")
    clean, noisy = folders.clean_pictures(tmp_path), folders.noisy_pictures(tmp_path)
    assert [(e.noisy, e.target.name) for e in clean] == [(None, "NIND_x_ISO200.png"), (None, "b.png"), (None, "a.png")]
    assert [(e.noisy.name, e.target) for e in noisy] == [
        ("NIND_x_ISO800.png", None),
        ("b.png", None),
        ("a.png", None),
        ("c.png", None),
    ]
    assert {p.path.name for p in clean.problems} == {"NIND_x_ISO800.png", "a.png", "c.png"}
    assert {p.path.name for p in noisy.problems} == {"NIND_x_ISO200.png", "a.png"}


def test_everything_left_over_is_named(tmp_path):
    save(tmp_path, "noisy/a.png", "clean/a.png", "noisy/b.png", "clean/c.png", "d.png")
    (tmp_path / "e.HEIC").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._a.png").write_bytes(b"a Mac's shadow of a file")
    assert {p.path.name: p.reason for p in folders.pairs(tmp_path).problems} == {
        "e.HEIC": ".heic is not read; convert it to PNG or TIFF",
        "b.png": "no clean picture of the same name",
        "c.png": "no noisy picture of the same name",
        "d.png": "neither its name nor its folder says whether it is noisy or clean",
    }


def test_links_in_a_circle_and_to_other_folders(tmp_path):
    save(tmp_path, "elsewhere/1.png", "data/noisy/1.png")
    os.symlink(tmp_path / "elsewhere", tmp_path / "data" / "clean")
    os.symlink(tmp_path / "data", tmp_path / "data" / "noisy" / "again")
    os.symlink(tmp_path / "gone.png", tmp_path / "data" / "noisy" / "2.png")
    assert [e[:2] for e in found(tmp_path / "data")] == [("noisy/1.png", "clean/1.png")]
    assert [p.path.name for p in folders.pairs(tmp_path / "data").problems] == ["2.png"]
    read = folders.read(folders.noisy_pictures(tmp_path / "data"))
    assert len(read) == 1 and "does not exist" in read.problems[0].reason


def test_too_few(tmp_path):
    with pytest.raises(DataError, match="'.*absent' is not there"):
        folders.pairs(tmp_path / "absent")
    save(tmp_path, "noisy/a.png", "gt/b.png")
    with pytest.raises(DataError, match=r"'.*/b.png' is no folder"):
        folders.pairs(tmp_path / "gt/b.png")
    with pytest.raises(DataError) as refused:
        folders.pairs(tmp_path)
    message = str(refused.value)
    assert message.startswith(f"0 noisy/clean pairs in '{tmp_path}', and 1 are needed.")
    assert "a.png: no clean picture of the same name" in message and "SIDD" in message
    assert len(folders.pairs(tmp_path, least=0)) == 0
    save(tmp_path, "noisy/b.png")
    (tmp_path / "gt/b.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(
        DataError, match=rf"(?s)0 of 1 examples in '{tmp_path}' are good, and 1 are.*b.png.*damaged.*NIND"
    ):
        folders.read(folders.pairs(tmp_path))
    with pytest.raises(DataError, match="0 of 0 examples are good"):
        folders.read([])
    assert len(folders.read([], least=0)) == 0


# Splitting


def examples(scenes, each=3):
    return [folders.Example(Path(f"{s}/{i}"), None, s) for s in scenes for i in range(each)]


@pytest.mark.parametrize("count, held_back", [(0, 0), (1, 0), (2, 1), (5, 1), (40, 4)])
def test_split_by_scene(count, held_back):
    given = examples([f"scene {i}" for i in range(count)])
    training, validation = folders.split(given)
    assert sorted(training + validation) == sorted(given)
    assert not {e.scene for e in training} & {e.scene for e in validation}
    assert len({e.scene for e in validation}) == held_back


def test_split_spares_a_scene_that_holds_most_of_the_examples():
    given = examples(["party"], each=3) + examples(["holiday"], each=60)
    assert {e.scene for e in folders.split(given)[1]} == {"party"}


def test_split_is_the_same_every_time_and_in_every_order():
    given = examples([f"scene {i}" for i in range(30)])
    validation = {e.scene for e in folders.split(given)[1]}
    assert {e.scene for e in folders.split(given[::-1])[1]} == validation
    assert validation == {"scene 4", "scene 24", "scene 28"}  # whatever the machine
    assert {e.scene for e in folders.split(given, seed=1)[1]} != validation
    assert len({e.scene for e in folders.split(given, share=1.0)[0]}) == 1


# Reading


def test_read_gives_the_files_samples(tmp_path):
    colour, grey, deep = picture(1), picture(2, (6, 8, 1)), np.random.default_rng(3).integers(0, 65536, (6, 8, 3))
    for name, array in (("noisy/1.png", colour), ("clean/1.png", grey), ("noisy/2.tif", deep.astype(np.uint16))):
        save(tmp_path, name)
        write(tmp_path / name, array, bits=16 if array is not colour and array is not grey else 8)
    save(tmp_path, "clean/2.bmp")
    steps = []
    read = folders.read(folders.pairs(tmp_path), on_progress=steps.append)
    (noisy, clean), (deep_noisy, other) = read
    assert np.array_equal(noisy, colour) and noisy.dtype == np.uint8
    assert np.array_equal(clean, grey.repeat(3, -1))
    assert np.array_equal(deep_noisy, deep) and deep_noisy.dtype == np.uint16
    assert np.array_equal(other, picture(hash_of("clean/2.bmp")))
    assert steps == [0.25, 0.5, 0.75, 1.0]


def test_each_file_is_decoded_once(tmp_path, monkeypatch):
    save(tmp_path, "a_noisy1.png", "a_noisy2.png", "a_clean.png")
    opened = []
    decode = folders.read_picture
    monkeypatch.setattr(folders, "read_picture", lambda path, name: opened.append(name) or decode(path, name))
    read = folders.read(folders.pairs(tmp_path))
    assert sorted(opened) == ["a_clean.png", "a_noisy1.png", "a_noisy2.png"]
    assert read.arrays[0][1] is read.arrays[1][1]


def test_bad_ones_are_named_and_skipped(tmp_path):
    save(tmp_path, *(f"{kind}/{n}.png" for kind in ("noisy", "clean") for n in ("good", "cut", "empty", "text")))
    save(tmp_path, "noisy/size.png", "noisy/small.png", "clean/small.png", size=(4, 9, 3))
    save(tmp_path, "clean/size.png", size=(9, 4, 3))
    whole = (tmp_path / "clean/cut.png").read_bytes()
    (tmp_path / "clean/cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "noisy/empty.png").write_bytes(b"")
    (tmp_path / "noisy/text.png").write_text("Dear diary")
    read = folders.read(folders.pairs(tmp_path), smallest=6)
    assert [e.noisy.name for e in read.examples] == ["good.png"]
    problems = {p.path.relative_to(tmp_path).as_posix(): p.reason for p in read.problems}
    assert set(problems) == {"clean/cut.png", "noisy/empty.png", "noisy/text.png", "noisy/size.png", "noisy/small.png"}
    assert "9 x 4, but its partner" in problems["noisy/size.png"] and problems["noisy/size.png"].endswith("is 4 x 9")
    assert problems["noisy/small.png"] == "9 x 4, smaller than the 6 x 6 of a crop"
    assert "0 bytes" in problems["noisy/empty.png"] and "text" in problems["noisy/text.png"]


@pytest.mark.parametrize("available", [0, 700, 2000])
def test_mapped_equals_in_memory(tmp_path, monkeypatch, available):
    """From the first picture on, or from the middle: odd sizes, so that 16-bit ones would start at odd bytes."""
    rng = np.random.default_rng(0)
    (tmp_path / "cache").mkdir()
    for i in range(6):
        array = rng.integers(0, 65536, (5, 5 + 2 * i, 3)).astype(np.uint16)
        write(tmp_path / f"{i}.png", array if i % 2 else (array >> 8).astype(np.uint8), bits=16 if i % 2 else 8)
    given = folders.clean_pictures(tmp_path)
    in_memory = folders.read(given)
    monkeypatch.setattr(folders, "available_memory", lambda: available)
    mapped = folders.read(given, cache=tmp_path / "cache")
    for (_, a), (_, b) in zip(in_memory, mapped, strict=True):
        assert np.array_equal(a, b) and a.dtype == b.dtype
        assert is_mapped(b) and not is_mapped(a)
    assert not os.listdir(tmp_path / "cache")


def is_mapped(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return isinstance(array, np.memmap) or type(array.base).__name__ == "mmap"


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    save(tmp_path, "a.png")
    monkeypatch.setattr(folders, "available_memory", lambda: 0)
    with pytest.raises(DataError, match="cache folder '.*absent' does not take them"):
        folders.read(folders.clean_pictures(tmp_path), cache=tmp_path / "absent")


def test_a_stopped_reading_stops(tmp_path):
    save(tmp_path, *(f"{i}.png" for i in range(20)))

    def stop(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folders.read(folders.clean_pictures(tmp_path), on_progress=stop)


def test_available_memory_is_a_number_of_bytes():
    assert 2**20 < folders.available_memory() < 2**50
