"""Zip files from strangers: read without leaving the folder, without filling the disk, without surprises."""

import lzma
import os
import shutil
import stat
import tempfile
import unicodedata
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ..errors import DenoiserError

MAX_ENTRIES = 100_000
MAX_RATIO = 200
"""Unpacked over packed size of an entry above ``SMALL`` bytes. Pictures are packed already; a zip bomb is not."""
SMALL = 10_000_000
IGNORED = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")

LONGEST_NAME, LONGEST_PATH = 200, 1000
"""Bytes of the name of a folder or file, and of the whole path, that every disk takes, with room for a suffix."""
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, IndexError, NotImplementedError)
"""What reading a zip raises that is broken or packed in a way that is not known."""


class ArchiveError(DenoiserError):
    """A zip file that is damaged, too large, or wants out of its folder."""


@contextmanager
def damage_told(words: str, kind=ArchiveError):
    """What a damaged zip raises within becomes a ``kind``: ``words``, then why. A full disk stays what it is."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, *DAMAGE) as error:  # the first two: a file where a folder should be
        raise kind(f"{words}: {error}.") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise kind(f"{words}: {error}.") from error  # bz2's


def names(archive: zipfile.ZipFile, gigabytes: float) -> dict[str, zipfile.ZipInfo]:
    """The files of an archive by their checked names, "folder/name" relative to wherever they go.

    ArchiveError, naming the entry: absolute paths, "..", drives, links and devices, encryption, two entries that
    are one file on some disks, more than ``gigabytes`` or ``MAX_ENTRIES`` in all, a ratio above ``MAX_RATIO``.
    """
    found, folded, total = {}, set(), 0
    if len(archive.infolist()) > MAX_ENTRIES:
        raise ArchiveError(f"The zip holds {len(archive.infolist())} entries; the limit is {MAX_ENTRIES}.")
    for entry in archive.infolist():
        parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
        if entry.is_dir() or any(part in IGNORED or part.startswith("._") for part in parts):
            continue
        if not parts or parts[0] == "/" or ".." in parts or any(":" in p or not p.isprintable() for p in parts):
            raise ArchiveError(f"The zip's entry {entry.filename!r} points outside its folder. Pack it again.")
        if len("/".join(parts).encode()) > LONGEST_PATH or any(len(part.encode()) > LONGEST_NAME for part in parts):
            raise ArchiveError(f"The zip's entry {entry.filename[:40]!r}... has too long a name. Shorten it.")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise ArchiveError(f"The zip's entry {entry.filename!r} is a link or a device; only files are taken.")
        if entry.flag_bits & 1:
            raise ArchiveError(f"The zip's entry {entry.filename!r} is encrypted; pack it without a password.")
        if entry.file_size > SMALL and entry.file_size > MAX_RATIO * max(entry.compress_size, 1):
            raise ArchiveError(f"The zip's entry {entry.filename!r} unpacks to over {MAX_RATIO} times its size.")
        total += entry.file_size
        if total > gigabytes * 1e9:
            raise ArchiveError(f"The zip unpacks to more than {gigabytes:g} GB, the limit here.")
        name = "/".join(parts)
        key = unicodedata.normalize("NFC", name).casefold()
        if key in folded:
            raise ArchiveError(f"The zip holds {name!r} twice, or a name that differs from it only in case.")
        folded.add(key)
        found[name] = entry
    return found


def extract(source, folder, gigabytes: float) -> Path:
    """Unpack a zip (path or binary file) as the new folder ``folder``, which appears whole or not at all.

    Raises ArchiveError, see ``names``, or for a file that is no zip or is damaged; OSError if the disk is full.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=folder.parent))
    try:
        with damage_told("This is no zip file that can be read"), zipfile.ZipFile(source) as archive:
            for name, entry in names(archive, gigabytes).items():
                target = part / name
                target.parent.mkdir(parents=True, exist_ok=True)
                # zipfile stops at the size that the directory states, which was counted above.
                with archive.open(entry) as packed, target.open("xb") as file:
                    shutil.copyfileobj(packed, file, 1 << 20)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def pack(folder, target):
    """All files of a folder as a zip, stored: pictures do not shrink. It appears whole or not at all."""
    folder, target = Path(folder), Path(target)
    part = target.with_name(target.name + ".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(folder).as_posix())
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, target)
