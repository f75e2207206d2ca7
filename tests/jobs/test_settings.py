"""Shared installations: who may do what, which folders, and zips from strangers."""

import errno
import io
import stat
import zipfile

import numpy as np
import pytest

from denoisers.errors import DenoiserError
from denoisers.jobs import JobError, Jobs, NotAllowed, Settings, Visitor, archive
from denoisers.jobs import settings as module
from denoisers.jobs.archive import ArchiveError

DEEDS = ("pause", "resume", "cancel", "delete", "status", "events", "logs", "folder")
LOCAL, FAR, ANN, BOB = Visitor(None, "127.0.0.1"), Visitor(None, "10.1.2.3"), Visitor("ann"), Visitor("bob", "::1")


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("::ffff:10.1.2.3", False), ("10.1.2.3", False)],
)
def test_a_browser_on_this_machine_is_told_from_others(address, local):
    assert Visitor(None, address).local == local


@pytest.mark.parametrize(
    ("who", "allowed"),
    [("off", []), ("local", [LOCAL, BOB]), ("everyone", [LOCAL, FAR, ANN, BOB]), ("signed-in", [ANN, BOB])],
)
def test_who_may_start_and_change_jobs(tmp_path, who, allowed):
    settings = Settings(tmp_path, who=who)
    job = Jobs(Settings(tmp_path, who="everyone"), BOB).submit("count", {})
    for visitor in (LOCAL, FAR, ANN, BOB, Visitor(), Visitor(None, "nonsense")):
        jobs = Jobs(settings, visitor)
        if visitor in allowed or (who == "everyone"):
            assert jobs.submit("count", {}).state == "queued"
        else:
            for change in (
                lambda jobs=jobs: jobs.submit("count", {}),
                lambda jobs=jobs: jobs.upload(io.BytesIO()),
                *(lambda jobs=jobs, do=do: getattr(jobs, do)(job.id) for do in DEEDS),
                jobs.list,
                lambda jobs=jobs: jobs.reorder(job.id, 0),
            ):
                with pytest.raises(NotAllowed):
                    change()
            assert jobs.store.get(job.id).state == "queued"


def test_users_who_sign_in_have_their_own_jobs(tmp_path):
    settings = Settings(tmp_path, who="signed-in")
    ann, bob = Jobs(settings, ANN), Jobs(settings, BOB)
    job = ann.submit("count", {})
    assert [j.id for j in ann.list()] == [job.id] and bob.list() == []
    for look in (bob.get, bob.status, bob.events, bob.logs, bob.folder, bob.cancel, bob.delete, bob.pause):
        with pytest.raises(JobError, match="no job"):
            look(job.id)
    with pytest.raises(NotAllowed):
        Jobs(settings, Visitor()).list()


def test_limits_on_jobs_and_disk(tmp_path):
    jobs = Jobs(Settings(tmp_path, who="everyone", per_user=2), ANN)
    for _ in range(2):
        job = jobs.submit("count", {})
    with pytest.raises(NotAllowed, match="2 jobs are unfinished"):
        jobs.submit("count", {})
    jobs.cancel(job.id)
    jobs.submit("count", {})
    Jobs(jobs.settings, BOB).submit("count", {})
    full = Jobs(Settings(tmp_path, who="everyone", gigabytes=1e-9), FAR)
    for take in (lambda: full.submit("count", {}), lambda: full.upload(io.BytesIO())):
        with pytest.raises(NotAllowed, match="Delete some"):
            take()


def test_a_bad_spec_keeps_nothing(jobs):
    for kind, spec in (("unheard", {}), ("count", {"steps": "many"}), ("count", {"more": 1})):
        with pytest.raises(JobError):
            jobs.submit(kind, spec)
    assert jobs.list() == [] and not (jobs.settings.root / "runs").exists()


@pytest.fixture
def disk(tmp_path):
    """data/pictures allowed below data; secret beside it; links of all sorts."""
    (tmp_path / "data" / "pictures").mkdir(parents=True)
    (tmp_path / "data" / "pictures" / "a.png").touch()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "b.png").touch()
    return tmp_path


@pytest.mark.parametrize("path", ["data", "data/pictures", "data/pictures/a.png", "data/../data/pictures", "data/in"])
def test_allowed_paths(disk, settings, path):
    (disk / "data" / "in").symlink_to(disk / "data" / "pictures")
    assert settings.confine(disk / path) == (disk / path).resolve()


@pytest.mark.parametrize(
    "path", ["secret", "data/..", "data/../secret", "data/nothing", "data/out", "data/pictures/../../secret/b.png", "/"]
)
def test_paths_outside_are_refused_and_do_not_tell_what_is_there(disk, settings, path):
    (disk / "data" / "out").symlink_to(disk / "secret")
    with pytest.raises(NotAllowed, match="is not there, or not in the folders"):
        settings.confine(disk / path)


@pytest.mark.parametrize("target", ["secret", "secret/b.png"])
def test_a_folder_with_a_link_outside_is_refused(disk, settings, target):
    (disk / "data" / "pictures" / "c").symlink_to(disk / target)
    with pytest.raises(NotAllowed, match="links to a place outside"):
        settings.confine(disk / "data" / "pictures")
    # nor by way of a link that stays inside
    (disk / "data" / "more").mkdir()
    (disk / "data" / "more" / "in").symlink_to(disk / "data" / "pictures")
    with pytest.raises(NotAllowed, match="links to a place outside"):
        settings.confine(disk / "data" / "more")


def test_a_loop_of_links_comes_to_an_end(disk, settings):
    (disk / "data" / "pictures" / "up").symlink_to(disk / "data")
    assert settings.confine(disk / "data")


def test_uploads_are_readable_one_by_one_only(jobs, settings):
    mine = jobs.upload(packed({"x/a.png": b"1"}))
    assert (mine / "x" / "a.png").read_bytes() == b"1"
    assert settings.confine(mine) == mine
    again = jobs.upload(packed({"x/a.png": b"1"}))
    assert again != mine and again.name == mine.name  # scenes, and which are held back, go by the name
    with pytest.raises(NotAllowed):
        settings.confine(settings.uploads)


def packed(files, compression=zipfile.ZIP_STORED):
    """A zip of {name or ZipInfo: bytes}, in memory."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    file.seek(0)
    return file


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("files", "say"),
    [
        ({"../evil": b""}, "outside"),
        ({"a/../../evil": b""}, "outside"),
        ({"/etc/evil": b""}, "outside"),
        ({"..\\evil": b""}, "outside"),
        ({"C:\\evil": b""}, "outside"),
        ({"a\nb": b""}, "outside"),
        ({link("a"): b"/etc/passwd"}, "link"),
        ({"a.png": b"1", "A.PNG": b"2"}, "twice"),
        ({"a": b"1", "a/b": b"2"}, "no zip file that can be read"),
        ({"a": bytes(2_000_000)}, "more than 0.001 GB"),
    ],
)
def test_a_zip_that_wants_out_leaves_nothing(tmp_path, files, say):
    with pytest.raises(ArchiveError, match=say):
        archive.extract(packed(files), tmp_path / "in" / "here", gigabytes=0.001)
    assert list((tmp_path / "in").iterdir()) == [] and {p.name for p in tmp_path.iterdir()} == {"in"}


def test_a_zip_bomb_and_damage_and_no_zip(tmp_path):
    bomb = packed({"a": bytes(30_000_000)}, zipfile.ZIP_DEFLATED)
    broken = packed({"a": b"grain" * 1000})
    broken.getbuffer()[100] ^= 255
    for file, say in ((bomb, "200 times"), (broken, "CRC"), (io.BytesIO(b"grain"), "not a zip")):
        with pytest.raises(ArchiveError, match=say):
            archive.extract(file, tmp_path / "here", gigabytes=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_damaged_anywhere_is_told_in_words(tmp_path, packing):
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", packing) as packed:
        packed.writestr("päge.txt", bytes(range(256)) * 8)
    whole, rng, refused = whole.getvalue(), np.random.default_rng(0), 0
    for i in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(256)
        try:
            archive.extract(io.BytesIO(damaged), tmp_path / str(i), 1)
        except DenoiserError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("name", ["ä" * 150 + ".png", f"{'f' * 190}/" * 30 + "a.png"])
def test_a_name_too_long_for_a_disk_is_told(tmp_path, name):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(name, b"")
    with pytest.raises(archive.ArchiveError, match="too long a name"):
        archive.extract(packed, tmp_path / "out", 1)


def test_a_full_disk_is_told_where_data_are_uploaded(jobs, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(archive, "extract", full)
    with pytest.raises(JobError, match="No space left"):
        jobs.upload(tmp_path / "data.zip")


def test_a_zip_that_lies_about_its_sizes_cannot_fill_the_disk(tmp_path):
    data = packed({"a": bytes(5_000_000)}, zipfile.ZIP_DEFLATED).getvalue()
    lie = data.replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    with pytest.raises(ArchiveError):
        archive.extract(io.BytesIO(lie), tmp_path / "here", gigabytes=1e-6)
    assert list(tmp_path.iterdir()) == []


def test_settings_from_the_environment(monkeypatch, tmp_path):
    given = {"": "signed-in", "_DIR": "jobs", "_FOLDERS": "/a:/b", "_GPUS": "0, 2", "_HOURS": "1.5", "_CPU": "3"}
    for name, value in given.items():
        monkeypatch.setenv(f"GRAINWISE_JOBS{name}", value)
    monkeypatch.chdir(tmp_path)
    module.from_environment.cache_clear()
    found = module.from_environment()
    module.from_environment.cache_clear()
    assert (found.who, found.root, found.gpus) == ("signed-in", tmp_path / "jobs", ("0", "2"))
    assert (found.hours, found.cpu, [str(f) for f in found.folders]) == (1.5, 3, ["/a", "/b"])


@pytest.mark.parametrize(("name", "value"), [("", "anyone"), ("_HOURS", "long")])
def test_a_bad_setting_is_named(monkeypatch, name, value):
    monkeypatch.setenv(f"GRAINWISE_JOBS{name}", value)
    module.from_environment.cache_clear()
    with pytest.raises(JobError, match=value):
        module.from_environment()
