"""Denoise a folder or a zip of pictures into a folder or a zip, one row a picture in ``results.csv``.

Stopped or killed at any moment, the same call goes on after the last row: a picture is written before its row. That it
is the same is told by ``call.json``.
"""

import csv
import io
import json
import os
import shutil
import threading
import time
import zipfile
from pathlib import Path

from ..denoiser import load
from ..errors import Cancelled, DataError, DenoiserError, ImageError
from ..events import Events, stopped_by_signals, write_atomically
from ..images import MAX_BYTES, encode, read
from ..images.writing import FORMATS
from ..metrics import psnr, ssim
from ..weights import fingerprint
from . import archive

COLUMNS = ["picture", "result", "width", "height", "sigma_of_255", "psnr_before", "psnr", "ssim", "seconds"]
COLUMNS += ["notes", "error"]
"""``result`` is empty where there is none; ``error`` says why, or why there are no scores; ``notes``, what reading or
the method had to change."""
GIGABYTES = 100
"""Largest zip read, unpacked."""


CALL = "call.json"
"""What was asked for: denoiser, parameters in library units, weights, and whether there were references."""


class Folder:
    """Pictures below a folder, by their names relative to it."""

    def __init__(self, path):
        self.path = Path(path)
        files = (p for p in self.path.rglob("*") if p.is_file())
        self.names = sorted(p.relative_to(self.path).as_posix() for p in files)

    def read(self, name: str):
        return read(self.path / name, name=name)


class Zip:
    """Pictures in a zip, read from it one by one."""

    def __init__(self, path):
        with archive.damage_told(f"'{path}' is no zip file that can be read"):
            self.archive = zipfile.ZipFile(path)
            self.entries = archive.names(self.archive, GIGABYTES)
        self.names = sorted(self.entries)

    def read(self, name: str):
        entry = self.entries[name]
        if entry.file_size > MAX_BYTES:
            raise ImageError(f"'{name}' is {entry.file_size / 1e6:.0f} MB; the limit is {MAX_BYTES / 1e6:.0f} MB.")
        with archive.damage_told(f"'{name}' is damaged in the zip", ImageError):
            data = self.archive.read(entry)
        return read(data, name=name)


def open_source(path):
    path = Path(path)
    if not path.exists():
        raise DataError(f"'{path}' is not there; name a folder or a zip of pictures.")
    source = Folder(path) if path.is_dir() else Zip(path)
    hidden = (name for name in source.names if any(part.startswith(".") for part in name.split("/")))
    source.names = sorted(
        {name for name in source.names if os.path.splitext(name)[1].lower() in FORMATS}.difference(hidden)
    )
    if not source.names:
        raise DataError(f"'{path}' holds no PNG, JPEG, TIFF, WebP or BMP picture.")
    return source


def working_folder(output: Path) -> Path:
    """Where results come while a batch works: of a zip, a folder beside it that goes when it is packed."""
    return output.with_name(f"{output.name}.unpacked") if output.suffix.lower() == ".zip" else output


def check_same(output: Path, found: str | None, call: dict):
    """DataError if what ``output`` holds was made otherwise. found: its ``call.json``, None where it has none."""
    if found is None or json.loads(found) != call:
        raise DataError(f"'{output}' holds results of another denoiser, or of other settings. Name another output.")


def check_packed(output: Path, call: dict, names: list[str]):
    """DataError if the zip that is there already is not what the call would make."""
    with archive.damage_told(f"'{output}' is no zip file that can be read"), zipfile.ZipFile(output) as packed:
        inside = packed.namelist()
        check_same(output, packed.read(CALL).decode() if CALL in inside else None, call)
        rows = csv.DictReader(io.StringIO(packed.read("results.csv").decode()))
        known = {row["picture"] for row in rows}
    if lacking := len(set(map(written, names)) - known):
        raise DataError(f"'{output}' is packed already, without {lacking} of the pictures. Name another output.")


class Table:
    """``results.csv``, a row added at a time; a last row cut off by a crash is dropped when it is opened again."""

    def __init__(self, path: Path):
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        reader = csv.DictReader(io.StringIO(whole))
        self.rows, self.columns = list(reader), reader.fieldnames or COLUMNS  # one begun by an older version goes on
        self.file = path.open("a", encoding="utf-8", newline="")
        self.file.truncate(len(whole.encode()))
        if not whole:
            self.write(dict(zip(COLUMNS, COLUMNS, strict=True)))

    def write(self, row: dict):
        line = io.StringIO()
        csv.DictWriter(line, self.columns, extrasaction="ignore", lineterminator="\n").writerow(row)
        self.file.write(written(line.getvalue()))
        self.file.flush()
        os.fsync(self.file.fileno())

    def add(self, row: dict):
        # Whole rows are told by the end of the line, so a message has none within.
        row = row | {column: " ".join(str(row.get(column, "")).split()) for column in ("notes", "error")}
        self.write(row)
        self.rows.append(row)


def written(name: str) -> str:
    """A name as it stands in the table: what is no text in it as \\udcXX."""
    return name.encode("utf-8", "backslashreplace").decode()


def stem(name: str) -> str:
    return os.path.splitext(name)[0]


def top(names) -> int:
    """Length of the folder that all names begin with, as those in the zip of a folder do; 0 if there is none."""
    first = names[0].partition("/")[0] + "/"
    return len(first) if all(name.startswith(first) for name in names) else 0


def partners(names, references) -> dict[str, str]:
    """Names -> the reference of the same name, whatever its file type; without the folder that all of one side are in
    where the whole name has none."""
    found = {}
    for a, b in ((0, 0), (top(names), top(references))):
        by_stem = {stem(other[b:]): other for other in reversed(references)}
        found = {name: by_stem[stem(name[a:])] for name in names if stem(name[a:]) in by_stem} | found
    return found


def scores(noisy, restored, references, name: str | None) -> dict:
    """A row's scores against a reference, by its name; none without references."""
    if references is None:
        return {}
    if name is None:
        return {"error": "denoised, not scored: no reference has this name"}
    try:
        clean = references.read(name).pixels
        found = {"psnr_before": psnr(noisy, clean), "psnr": psnr(restored, clean), "ssim": ssim(restored, clean)}
    except ImageError as error:
        return {"error": f"denoised, not scored: {error}"}
    return {column: round(value, 4) for column, value in found.items()}


def batch(source, output, denoiser: str, params: dict, *, weights=None, device="auto", reference=None, events=None):
    """Denoise every picture of ``source``.

    Args:
        source: folder or zip; folders within are kept.
        output: folder; or a name ending in .zip, made at the end from a folder beside it, see ``working_folder``.
        denoiser, weights, device: as for ``denoisers.load``.
        params: the method's, in library units.
        reference: folder or zip of clean pictures of the same names, to score against.
        events: file for events: start, picture (done, total, progress, pictures_per_second, seconds), end.

    A picture that cannot be read or denoised is a row with its error; the others go on. Returns "finished", or
    "stopped" after SIGTERM or Ctrl-C. Raises DenoiserError if there is no picture, none could be denoised, or
    ``output`` holds results of another call; OSError where a result cannot be written.
    """
    output = Path(output)
    folder = working_folder(output)
    if folder.resolve().is_relative_to(Path(source).resolve()):
        raise DataError(f"'{output}' lies within '{source}': its results would be denoised again. Name another.")
    pictures = open_source(source)
    references = open_source(reference) if reference else None
    partner = partners(pictures.names, references.names) if references else {}
    total = len(pictures.names)
    model = load(denoiser, weights, device)
    call = {"denoiser": denoiser, "params": model.spec.resolve(params), "scored": references is not None}
    call |= {"weights_sha256": fingerprint(denoiser, model.weights) if model.weights else None}
    if output != folder and output.exists():  # killed after its last step
        check_packed(output, call, pictures.names)
        shutil.rmtree(folder, ignore_errors=True)
        Events(events and Path(events)).write("end", reason="finished", done=total, total=total)
        return "finished"
    folder.mkdir(parents=True, exist_ok=True)
    table, events, stop = Table(folder / "results.csv"), Events(events and Path(events)), threading.Event()
    if table.rows:
        check_same(output, (folder / CALL).read_text() if (folder / CALL).exists() else None, call)
    else:
        write_atomically(folder / CALL, lambda part: part.write_text(json.dumps(call, indent=2)))
    known = {row["picture"] for row in table.rows}
    left = [name for name in pictures.names if written(name) not in known]
    before, began = sum(float(row["seconds"] or 0) for row in table.rows), time.monotonic()
    events.write("start", done=total - len(left), total=total, device=model.device)
    with stopped_by_signals(stop):
        for count, name in enumerate(left, 1):
            row = {"picture": written(name)}
            started = time.monotonic()
            try:
                picture = pictures.read(name)
                row |= {"height": picture.samples.shape[0], "width": picture.samples.shape[1]}
                result = model.denoise(picture.pixels, cancelled=stop.is_set, **params)
                suffix = Path(name).suffix
                quality = {"quality": 100} if suffix.lower() == ".webp" else {}  # without loss
                row["notes"] = " ".join([*picture.notes, *result.extras.get("notes", [])])
                data = encode(result.image, suffix, like=picture, bits=depth(picture, name), **quality)
                if result.params.get("sigma") is not None:
                    row["sigma_of_255"] = round(255 * result.params["sigma"], 2)
                target = folder / written(name)
                target.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(target, lambda part, data=data: part.write_bytes(data))
                row["result"] = written(name)
                row |= scores(picture.pixels, result.image, references, partner.get(name))
            except Cancelled:
                break
            except DenoiserError as error:
                row["error"] = str(error)
            except MemoryError:
                row["error"] = "There is not enough memory for this picture here."
            table.add(row | {"seconds": round(time.monotonic() - started, 3)})
            seconds = time.monotonic() - began
            done = total - len(left) + count
            rate = {"progress": round(done / total, 4), "pictures_per_second": round(count / seconds, 3)}
            events.write("picture", name=name, done=done, total=total, seconds=round(before + seconds, 1), **rate)
            if stop.is_set():
                break
    done = {row["picture"] for row in table.rows}.intersection(map(written, pictures.names))
    finished = len(done) == total
    failed = [row for row in table.rows if not row.get("result")]
    if finished and len(failed) == len(table.rows):
        raise DataError(f"None of the {total} pictures could be denoised. The first: {failed[0]['error']}")
    if finished and folder != output:
        archive.pack(folder, output)
        shutil.rmtree(folder)
    reason = "finished" if finished else "stopped"
    events.write("end", reason=reason, done=len(done), total=total, failed=len(failed))
    return reason


def depth(picture, name: str) -> int:
    """Bits a sample of the result: 16 where the picture has more than 8 and its format can."""
    return 16 if picture.bits > 8 and Path(name).suffix.lower() in (".png", ".tif", ".tiff") else 8
