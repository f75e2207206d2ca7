"""Training pictures in the folders people have: found, matched by name, split by scene, decoded once.

``pairs``, ``noisy_pairs``, ``clean_pictures`` and ``noisy_pictures`` look at names only; ``read`` decodes. Links
to folders are followed, once each; names that begin with a dot are not looked at.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import unicodedata
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np

from ..errors import DataError, ImageError
from ..images import read as read_picture
from ..images.picture import quantise
from ..images.writing import FORMATS

LAYOUTS = """\
Understood are PNG, JPEG, TIFF, WebP and BMP files, in pairs below the folder named:
- noisy/NAME and clean/NAME, same names, any file types; noisy, input or lq against clean, gt, target, reference or
  groundtruth, also within a longer folder name (train_noisy, train_clean);
- NAME_noisy and NAME_clean in one folder, the same words; NAME_noisy1, NAME_noisy2 share a NAME_clean;
- SIDD as distributed (0001_001_S6_00100_00060_3200_L/0001_NOISY_SRGB_010.PNG);
- RENOIR (Mi3_Aligned/Batch_001/IMG_0001Reference.bmp, IMG_0002Noisy.bmp);
- NIND (NIND_banana_ISO200.jpg, NIND_banana_ISO6400.jpg: the lowest ISO is the clean one);
- PolyU (Canon5D2_bag_Real.JPG, Canon5D2_bag_mean.JPG).
Noisy shots of one scene without a clean one: a folder a scene, or NAME_noisy1 and NAME_noisy2, or noisy1/NAME and
noisy2/NAME."""

UNREAD = {".heic", ".heif", ".avif", ".jxl", ".gif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".mat"}
"""Suffixes of pictures that we do not read, so that they are named and not passed over."""

# Where a pattern has a group for a word of noise, that group is empty for its clean counterpart.
NOISY, CLEAN = "noisy|input|lq", "clean|gt|target|reference|ground[ _-]?truth"
ROLE = re.compile(rf"(?<![a-z])(?:({NOISY})|(?:{CLEAN}))(?![a-z])", re.I)
POLYU = re.compile(r"_(?:(real)|mean)$", re.I)
NUMBERED = re.compile(rf"(.*?)[ _-]?(?<![a-z])(?:({NOISY}|shot)[ _-]?\d*|(?:{CLEAN}))", re.I)
SIDD = re.compile(r"\d{4}_(\d{3})_[A-Z0-9]{2}_\d+_\d+_\d+_[LNH]")
RENOIR = re.compile(r".*\d(?:(noisy)|reference|full|referencefull)", re.I)
RENOIR_MASK = re.compile(r"batch[^/]*/mask", re.I)
NIND = re.compile(r"NIND_(.+?)(-C500D)?_ISO(H?)(\d+)(?:-\d+)?", re.I)
CROP = re.compile(r"_s?\d{1,3}$", re.I)


class Example(NamedTuple):
    """What a network learns from: ``noisy`` in, ``target`` out. One of them is None where it is not given: noise is
    made for a clean picture, a self-supervised method needs no target. Pictures of one ``scene`` show the same, so
    they are all trained on or all validated with."""

    noisy: Path | None
    target: Path | None
    scene: str


class Problem(NamedTuple):
    """A file that is not used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Found:
    """What a folder holds of one kind; iterates over its ``examples``. ``layouts`` counts them by the naming scheme
    they were recognised by; ``problems`` names every picture left over."""

    examples: list[Example]
    layouts: Counter
    problems: list[Problem]

    def __iter__(self):
        return iter(self.examples)

    def __len__(self):
        return len(self.examples)


class Shot(NamedTuple):
    """One file: the ``group`` of shots it belongs to, its ``noise`` (0 clean, 1 noisy, or its ISO), what it shows as
    "folder/name", and the ``layout`` that told. In FREE layouts a scene may still be cut into numbered crops."""

    path: Path
    group: tuple
    noise: float
    view: str
    layout: str


FREE = ("folders", "names", "PolyU", "pictures")


# Finding


def pairs(folder, least: int = 1) -> Found:
    """Noisy pictures with their clean partners. Several noisy shots of one clean picture make several examples.

    Raises DataError: ``folder`` is none, or holds fewer than ``least`` pairs.
    """
    folder, left, problems = _pictures(folder)
    examples = {}
    for describe in (_nind, _in_folders, _by_name, _numbered, _renoir):
        for shots in _groups(describe, folder, left):
            cleanest = min(shot.noise for shot in shots)
            for noisy in shots:
                for clean in shots:
                    if noisy.noise > cleanest == clean.noise:
                        examples[noisy.path, clean.path] = noisy
                        left -= {noisy.path, clean.path}
    problems += [Problem(path, _why_alone(folder, path)) for path in sorted(left)]
    return _found(folder, examples, problems, least, "noisy/clean pairs")


def noisy_pairs(folder, least: int = 1) -> Found:
    """Scenes shot twice or more: every noisy shot with the next one of its scene as target, the last with the first.

    So each shot is once input and once target, however many there are. Raises DataError: ``folder`` is none, or
    holds fewer than ``least`` pairs.
    """
    folder, files, problems = _pictures(folder)
    examples, alone = {}, {path: "not in a folder of shots of one scene" for path in files}
    for shots in _groups(_burst, folder, files):
        cleanest = min(shot.noise for shot in shots)
        # A NIND scene has its clean shot among the others; elsewhere clean pictures are no shots at all.
        noisy = [shot for shot in shots if shot.layout != "NIND" or shot.noise > cleanest]
        if len(noisy) > 1:
            examples |= {(a.path, b.path): a for a, b in zip(noisy, noisy[1:] + noisy[:1], strict=True)}
        for shot in shots:
            alone[shot.path] = "the only noisy shot of its scene" if [shot] == noisy else None
    problems += [Problem(path, why) for path, why in sorted(alone.items()) if why and _role(folder, path) != 0]
    return _found(folder, examples, problems, least, "scenes with two noisy shots")


def clean_pictures(folder, least: int = 1) -> Found:
    """Every picture but those known for noisy. Raises DataError: no folder, or fewer than ``least`` pictures."""
    return _lone(folder, 0, least)


def noisy_pictures(folder, least: int = 1) -> Found:
    """Every picture but those known for clean. Raises DataError: no folder, or fewer than ``least`` pictures."""
    return _lone(folder, 1, least)


def _lone(folder, noise, least) -> Found:
    folder, files, problems = _pictures(folder)
    kind, other = ("noisy", "clean") if noise else ("clean", "noisy")
    others = {e.target if noise else e.noisy for e in pairs(folder, least=0)}
    others |= {path for path in files if _role(folder, path) == 1 - noise}
    examples = {}
    for path in sorted(files - others):
        view = f"{_place(folder, path)[1]}/{path.stem}"
        examples[(path, None) if noise else (None, path)] = _shot(folder, path, (), noise, view, "pictures")
    problems += [Problem(path, f"{other}, by its name, its folder or its partner") for path in sorted(others)]
    return _found(folder, examples, problems, least, f"{kind} pictures")


def _pictures(folder) -> tuple[Path, set[Path], list[Problem]]:
    """The pictures below a folder, and what cannot be read."""
    folder, files, problems, seen = Path(os.path.abspath(folder)), set(), [], set()
    if not folder.is_dir():
        raise DataError(f"'{folder}' is {'no folder' if folder.exists() else 'not there'}; name a folder of pictures.")

    def locked(error):
        problems.append(Problem(Path(error.filename), f"this folder cannot be opened: {error.strerror}"))

    for place, folders, names in os.walk(folder, onerror=locked, followlinks=True):
        here = (os.stat(place).st_dev, os.stat(place).st_ino)
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if name[0] != "." and name != "__MACOSX")
        for path in (Path(place, name) for name in names if name[0] != "."):
            suffix = path.suffix.lower()
            if RENOIR_MASK.match("/".join(path.parts[-2:])):
                problems.append(Problem(path, "a mask of RENOIR's, not a picture"))
            elif suffix in FORMATS:
                files.add(path)
            elif suffix in UNREAD:
                problems.append(Problem(path, f"{suffix} is not read; convert it to PNG or TIFF"))
    return folder, files, problems


def _groups(describe, folder, paths) -> list[list[Shot]]:
    """The shots that belong together, in order of their paths."""
    groups = defaultdict(list)
    for path in sorted(paths):
        if shot := describe(folder, path):
            # Macs write an accent as a letter of its own, others do not.
            name = tuple(unicodedata.normalize("NFC", part) if isinstance(part, str) else part for part in shot.group)
            groups[name].append(shot)
    return list(groups.values())


def _found(folder, shots, problems, least, what) -> Found:
    """Examples from {(noisy, target): shot}, each with its scene: the view without the number of a crop (bag_0,
    bag_1; 0001_s003). Where only that number tells the files of a folder apart it is no crop's, and is kept."""
    names = defaultdict(set)
    for shot in shots.values():
        names[shot.view.rpartition("/")[0]].add(CROP.sub("", shot.view))

    def scene(shot):
        cut = shot.layout in FREE and len(names[shot.view.rpartition("/")[0]]) > 1
        return CROP.sub("", shot.view) if cut else shot.view

    if len(shots) < least:
        raise DataError(f"{len(shots)} {what} in '{folder}', and {least} are needed.{first(problems)}\n{LAYOUTS}")
    examples = [Example(*key, scene(shot)) for key, shot in shots.items()]
    return Found(examples, Counter(shot.layout for shot in shots.values()), problems)


def first(problems) -> str:
    """The first few problems, a line each."""
    more = f"\n- and {len(problems) - 5} more" if len(problems) > 5 else ""
    return "".join(f"\n- {path}: {reason}" for path, reason in problems[:5]) + more


def _shot(folder, path, group, noise, view, layout) -> Shot:
    """In SIDD the scene is the second number of instance_scene_phone_ISO_shutter_temperature_light."""
    for part in path.relative_to(folder.parent).parts[:-1]:
        if match := SIDD.fullmatch(part):
            return Shot(path, group, noise, f"SIDD/{match[1]}", "SIDD")
    return Shot(path, group, noise, view, layout)


# The naming schemes: each gives a file's shot, or None if the file is not named so


def _nind(folder, path):
    """NIND: the ISO is the noise; H1, H2, ... lie above the camera's range. Some scenes were shot by two cameras."""
    if match := NIND.fullmatch(path.stem):
        name, camera, extended, iso = match.groups()
        return Shot(path, (name, camera), int(iso) + 1e6 * bool(extended), f"NIND/{name}", "NIND")


def _in_folders(folder, path):
    """Folders that say noisy or clean, files of the same name."""
    noise, place = _place(folder, path)
    if noise is not None:
        return _shot(folder, path, (place, path.stem.lower()), noise, f"{place}/{path.stem}", "folders")


def _by_name(folder, path):
    """The file's name says it, or the folder's; noisy1, noisy2 or noisy_50 may share one clean folder."""
    of_folder, place = _place(folder, path, numbered=True)
    of_name, rest = _said(path.stem, POLYU if POLYU.search(path.stem) else ROLE)
    noise = of_name if of_folder is None else of_folder
    if noise is not None:
        name = rest if of_name == noise else path.stem
        layout = "PolyU" if POLYU.search(path.stem) else "names"
        return _shot(folder, path, (place, _plain(name)), noise, f"{place}/{name}", layout)


def _numbered(folder, path):
    """NAME_noisy1, NAME_noisy_2, NAME_clean; or noisy1, noisy2, clean in the folder of a scene."""
    if match := NUMBERED.fullmatch(path.stem):
        group = path.parent, match[1].lower()
        return Shot(path, group, int(bool(match[2])), f"{_place(folder, path)[1]}/{match[1]}", "names")


def _renoir(folder, path):
    """RENOIR: a batch is one or two low-noise references and one or two noisy shots, all aligned."""
    batch = path.parent
    if (match := RENOIR.fullmatch(path.stem)) and batch.name.lower().startswith("batch"):
        view = f"RENOIR/{batch.parent.name}/{batch.name}"
        return Shot(path, (batch,), int(bool(match[1])), view, "RENOIR")


def _burst(folder, path):
    """A noisy file with the other noisy shots of its scene as its group."""
    if shot := _nind(folder, path):
        return shot
    if _role(folder, path) == 0:
        return None
    if shot := _renoir(folder, path):
        return shot
    place, view = path.parent, _place(folder, path)[1]
    own, above = NUMBERED.fullmatch(path.stem), NUMBERED.fullmatch(place.name)
    if place != folder and above and above[2] and place.name[-1].isdigit():
        view = f"{_place(folder, place)[1]}/{path.stem}"
        return Shot(path, (place.parent, above[1], path.stem.lower()), 1, view, "folders")
    if own and own[1]:
        return Shot(path, (place, own[1].lower()), 1, f"{view}/{own[1]}", "names")
    # The rest is told by its folder, which must then be neither the whole set nor one of all noisy pictures.
    if place != folder and _place(folder, path)[0] is None and not POLYU.search(path.stem):
        return _shot(folder, path, (place,), 1, view, "a folder a scene")


def _said(text, words=ROLE):
    """(1 noisy, 0 clean or None, the text without the word that says so)."""
    match = words.search(text)
    if not match:
        return None, text
    return int(bool(match[1])), _plain(f"{text[: match.start()]}_{text[match.end() :]}")


def _plain(text) -> str:
    """Lower case, one kind of separator."""
    return re.sub(r"[ _.-]+", "_", text).strip("_").lower()


def _place(folder, path, numbered: bool = False):
    """What the innermost folder that says anything says of a file, and the file's folders without that word.

    ``numbered``: and without the number that remains of noisy1 or noisy_50.
    """
    parts = list(path.relative_to(folder).parts[:-1])
    for i in reversed(range(len(parts))):
        noise, rest = _said(parts[i])
        if noise is not None:
            parts[i] = "" if numbered and noise and rest.isdigit() else rest
            return noise, "/".join([folder.name, *filter(None, parts)])
    return None, "/".join([folder.name, *parts])


def _role(folder, path):
    """1 noisy, 0 clean, None unknown: by the innermost folder that says so, else by the name."""
    if shot := _by_name(folder, path) or _renoir(folder, path) or _numbered(folder, path):
        return shot.noise


def _why_alone(folder, path) -> str:
    if _nind(folder, path):
        return "the only ISO of its scene"
    role = _role(folder, path)
    if role is None:
        return "neither its name nor its folder says whether it is noisy or clean"
    return f"no {('noisy', 'clean')[role]} picture of the same name"


# Splitting and reading


def split(examples, share: float = 0.1, seed: int = 0) -> tuple[list[Example], list[Example]]:
    """(training, validation), every scene wholly on one side.

    About ``share`` of the scenes validate, at least one where there are two or more, never all. Which ones depends on
    the scenes' names and ``seed`` alone: neither on order nor on the machine, and hardly on what is added later; but
    one that holds more than twice that share of the examples only where there is no smaller one left.
    """
    examples = list(examples)
    sizes = Counter(e.scene for e in examples)
    large = max(1, 2 * share * len(examples))
    scenes = sorted(sizes, key=lambda s: (sizes[s] > large, hashlib.sha256(f"{seed}/{s}".encode()).digest()))
    count = min(max(1, round(share * len(scenes))), len(scenes) - 1) if scenes else 0
    held_back = set(scenes[:count])
    return [e for e in examples if e.scene not in held_back], [e for e in examples if e.scene in held_back]


@dataclass
class Pictures:
    """Decoded examples; iterates over ``arrays``: ``arrays[i]`` is (noisy, target) of ``examples[i]``, H x W x 3
    uint8 or uint16 of equal sizes, None where the example has none. ``problems`` names what was left out."""

    examples: list[Example] = field(default_factory=list)
    arrays: list[tuple] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def __iter__(self):
        return iter(self.arrays)

    def __len__(self):
        return len(self.arrays)


def read(examples, smallest: int = 1, least: int = 1, cache=None, on_progress=None) -> Pictures:
    """Decode examples, every file once, in threads.

    Args:
        examples: of any of the finders above.
        smallest: side in pixels that a crop needs; smaller pictures are left out.
        least: number of good examples a training needs.
        cache: folder for the one file that takes the pixels where they would fill more than half of the memory
            available. They are mapped from there; the file has no name and goes with the process. The system's
            folder for temporary files if None.
        on_progress: called with the share of files decoded, after each.

    Damaged files, pairs of two sizes and small pictures are left out and named in ``problems``. Raises DataError
    where fewer than ``least`` are left, or the cache cannot be written.
    """
    examples, store = list(examples), _Store(cache)
    paths = list(dict.fromkeys(path for e in examples for path in (e.noisy, e.target) if path))
    handles = {None: None}
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for path, handle in zip(paths, pool.map(store.decode, paths), strict=True):
            handles[path] = handle
            if on_progress:
                on_progress((len(handles) - 1) / len(paths))
    finally:
        pool.shutdown(cancel_futures=True)
    arrays = store.arrays()
    good = Pictures(problems=[handle for handle in handles.values() if isinstance(handle, Problem)])
    for example in examples:
        pair = handles[example.noisy], handles[example.target]
        if any(isinstance(handle, Problem) for handle in pair):
            continue
        pair = tuple(None if handle is None else arrays[handle] for handle in pair)
        sizes = list(dict.fromkeys(a.shape[1::-1] for a in pair if a is not None))
        width, height = sizes[0]
        if len(sizes) == 2:
            why = f"{width} x {height}, but its partner '{example.target}' is {sizes[1][0]} x {sizes[1][1]}"
        elif min(sizes[0]) < smallest:
            why = f"{width} x {height}, smaller than the {smallest} x {smallest} of a crop"
        else:
            good.examples.append(example)
            good.arrays.append(pair)
            continue
        good.problems.append(Problem(example.noisy or example.target, why))
    if len(good) < least:
        folder = f" in '{os.path.commonpath([path.parent for path in paths])}'" if paths else ""
        raise DataError(
            f"{len(good)} of {len(examples)} examples{folder} are good, and {least} are needed."
            f"{first(good.problems)}\n{LAYOUTS}"
        )
    return good


class _Store:
    """Arrays in memory until they fill half of what is available, from then on all of them in one file."""

    def __init__(self, cache):
        processes = int(os.environ.get("WORLD_SIZE", 1))  # under torchrun each reads all pictures
        self.cache, self.limit, self.lock = cache, available_memory() // (2 * processes), Lock()
        self.held, self.bytes, self.file = [], 0, None

    def decode(self, path) -> int | Problem:
        """A picture's place among the ``arrays``, or why it has none."""
        try:
            picture = read_picture(path, path.name)
        except ImageError as error:
            return Problem(path, str(error))
        samples = quantise(picture.samples, 8 if picture.bits == 8 else 16)
        samples = samples.repeat(3, -1) if samples.shape[2] == 1 else samples
        with self.lock:
            self.held.append(samples)
            self.bytes += samples.nbytes
            try:
                if self.file:
                    self.held[-1] = self.put(samples)
                elif self.bytes > self.limit:
                    self.file = tempfile.TemporaryFile(dir=self.cache)  # noqa: SIM115
                    self.held = [self.put(array) for array in self.held]
            except OSError as error:
                raise DataError(
                    f"The pictures need more than half of the memory available, and the cache folder "
                    f"'{self.cache or tempfile.gettempdir()}' does not take them: {error.strerror}. Make room there, "
                    "name another one, or train on fewer pictures."
                ) from error
            return len(self.held) - 1

    def put(self, array) -> tuple:
        """Append to the file; (offset, bytes, type, shape) of it there."""
        offset = self.file.seek(0, os.SEEK_END)
        offset += self.file.write(bytes(offset % 2))  # 16-bit samples start at even offsets
        self.file.write(np.ascontiguousarray(array))
        return offset, array.nbytes, array.dtype, array.shape

    def arrays(self) -> list[np.ndarray]:
        """All of them. Those in the file are mapped, and the file is gone when the last one is."""
        if not self.file:
            return self.held
        self.file.flush()
        pixels = np.asarray(np.memmap(self.file, mode="r"))
        self.file.close()
        return [pixels[offset : offset + size].view(kind).reshape(shape) for offset, size, kind, shape in self.held]


def available_memory() -> int:
    """Bytes of memory that can be had: what the system calls available, or what a container's limit leaves."""
    facts = dict(re.findall(r"(\w+):\s+(\d+) kB", _text("/proc/meminfo")))
    free = [int(facts.get("MemAvailable", 4_000_000)) * 1024]
    group = Path("/sys/fs/cgroup")
    limit, used = _text(group / "memory.max"), _text(group / "memory.current")
    if limit.strip().isdigit() and used:
        cached = dict(re.findall(r"(\w+) (\d+)", _text(group / "memory.stat"))).get("inactive_file", 0)
        free.append(int(limit) - int(used) + int(cached))  # what is only cached makes room
    return max(0, min(free))


def _text(path) -> str:
    """A file of the kernel's; empty where there is none."""
    return Path(path).read_text() if os.path.exists(path) else ""


# Telling


def size_of(path) -> tuple[int, int]:
    """(width, height) by the header, as stored: an EXIF orientation may swap them."""
    import tifffile
    from PIL import Image

    if path.suffix.lower() in (".tif", ".tiff"):
        with tifffile.TiffFile(path) as file:
            return file.pages.first.imagewidth, file.pages.first.imagelength
    with Image.open(path) as image:
        return image.size
