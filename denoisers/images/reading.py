"""Files to sRGB pixels. Every limit is checked on the header, before anything is decoded."""

from __future__ import annotations

import io
import os
import warnings
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import ImageError
from .picture import MAX_BYTES, MAX_PIXELS, Picture, unit

KINDS = "PNG, JPEG, TIFF, WebP and BMP"
MAGIC = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"BM": "BMP",
}

# What the eight EXIF orientations ask of an array, rows first.
UPRIGHT = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}

ORIENTATION, EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD = 0x0112, 0x8769, 0x8825, 0xA005
# Kept from EXIF's first directory; the rest describes the old file's layout, or a thumbnail that is no longer true.
DESCRIPTIVE = {270, 271, 272, 282, 283, 296, 305, 306, 315, 33432, *range(40091, 40096)}

FLOAT_RANGES = (1, 255, 65535)
"""Ranges of floating point samples, each with room for noise that was never clipped, so that a noisy picture is read
as its clean partner is; values that fit none are scaled by their own extremes."""
NOISE = 0.2
"""How far such noise goes beyond the range on average, at most, as a share of it."""

SPACES = {b"RGB ": 3, b"GRAY": 1, b"CMYK": 4}
RELATIVE_COLORIMETRIC, BLACK_POINT, NO_OPTIMISE = 1, 0x2000, 0x0100


def read(path_or_bytes, name: str | None = None) -> Picture:
    """Read a picture: upright, in sRGB, its alpha beside it.

    Parameters
    ----------
    path_or_bytes : str, Path or bytes-like
        PNG, JPEG, TIFF, WebP or BMP; at most `MAX_BYTES` bytes and `MAX_PIXELS` pixels.
    name : str, optional
        What messages call the picture. The default is the path as given.

    Returns
    -------
    Picture
        Its notes say whatever was changed: rotation, colour, range, further frames.

    Raises
    ------
    ImageError
        Missing, empty, too large, cut off, damaged, not a picture, or of a kind we do not read.
    """
    data, name = _bytes(path_or_bytes, name)
    kind = _sniff(data, name)
    notes: list[str] = []
    upright = False
    try:
        with warnings.catch_warnings():
            # Of sizes between Pillow's limits and ours, and of damage that we report ourselves.
            warnings.simplefilter("ignore")
            if kind == "TIFF":
                array, icc, exif, upright = _tiff(data, name, notes)
            else:
                array, icc, exif = _pillow(data, kind, name, notes)
            if icc is None and array.shape[2] in (3, 4) and not isinstance(array, _Cmyk):
                icc = _dcf_profile(exif)
            exif, orientation = _exif(exif, notes)
    except (ImageError, MemoryError):
        raise
    # Decoders raise nearly everything on damaged files: struct.error, SyntaxError, IndexError, zlib.error...
    except Exception as error:
        if any(word in str(error).lower() for word in ("truncated", "too small", "end of file", "eof")):
            raise _cut_off(name) from error
        raise ImageError(f"{name} could not be decoded: the {kind} is damaged or cut off.") from error
    if orientation in UPRIGHT:
        array = array if upright else UPRIGHT[orientation](array)
        notes.append("Rotated as its EXIF orientation says.")
    bits = array.dtype.itemsize * 8
    colour, alpha = (array, None) if array.shape[2] in (1, 3) else (array[..., :-1], array[..., -1])
    if isinstance(array, _Cmyk):
        colour, alpha = array.view(np.ndarray), None
    samples = np.ascontiguousarray(_to_srgb(colour, icc, notes))
    if alpha is not None:
        alpha = unit(alpha, 1 if alpha.dtype == np.float32 else np.iinfo(alpha.dtype).max)
    return Picture(samples, alpha, bits, kind, exif, icc, notes)


class _Cmyk(np.ndarray):
    """Four channels of ink, where four otherwise mean colour and alpha."""


def _bytes(source, name: str | None) -> tuple[bytes, str]:
    """The file's bytes and the name to call it by in messages."""
    if isinstance(source, bytes | bytearray | memoryview):
        name = f"'{name}'" if name else "The picture"
        size = memoryview(source).nbytes
        path = None
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        name = f"'{name or source}'"
        try:
            if path.is_dir():
                raise ImageError(f"{name} is a folder; give a picture.")
            size = path.stat().st_size
        except FileNotFoundError as error:
            raise ImageError(f"{name} does not exist.") from error
        except (OSError, ValueError) as error:
            raise ImageError(f"{name} could not be opened: {getattr(error, 'strerror', None) or error}.") from error
    else:
        raise ImageError(f"Give a path or the bytes of a file to read, not {type(source).__name__}.")
    if not size:
        raise ImageError(f"{name} is empty: 0 bytes.")
    if size > MAX_BYTES:
        raise ImageError(f"{name} is {size / 1e6:.0f} MB; the limit is {MAX_BYTES / 1e6:.0f} MB.")
    if path is None:
        return bytes(source), name
    try:
        return path.read_bytes(), name
    except OSError as error:
        raise ImageError(f"{name} could not be opened: {error.strerror}.") from error


def _sniff(data: bytes, name: str) -> str:
    """The format by its first bytes: names lie."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    for magic, kind in MAGIC.items():
        if data.startswith(magic):
            return kind
    try:
        if data[4:8] == b"ftyp":
            raise ImageError(f"{name} is a HEIC or AVIF picture, or a film: save it as JPEG or PNG. We read {KINDS}.")
        data[:512].decode("ascii")
        looks = "it looks like text"
    except UnicodeDecodeError:
        looks = "its first bytes are none that we know"
    raise ImageError(f"{name} is not a picture that we read ({looks}). We read {KINDS}.")


def _cut_off(name: str) -> ImageError:
    return ImageError(f"{name} is cut off: the end of the file is missing. Copy or download it again.")


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name} is {width} x {height}, {width * height / 1e6:.2f} megapixels; "
            f"the limit is {MAX_PIXELS / 1e6:.0f}. Crop it or make it smaller."
        )


def _open(data: bytes, kind: str, name: str):
    """Pillow's image, header only, within the size limit."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=(kind,))
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{name} has more pixels than the limit of {MAX_PIXELS / 1e6:.0f} megapixels. Crop it or make it smaller."
        ) from error
    _check_size(*image.size, name)
    return image


def _pillow(data: bytes, kind: str, name: str, notes: list[str]) -> tuple[np.ndarray, bytes | None, bytes | None]:
    """PNG, JPEG, WebP and BMP: samples as stored, profile, EXIF."""
    if kind == "WEBP" and len(data) < int.from_bytes(data[4:8], "little") + 8:
        raise _cut_off(name)
    image = _open(data, kind, name)
    if getattr(image, "n_frames", 1) > 1:
        # Phones put a second picture, such as a depth map, behind a JPEG.
        what = "Several pictures in one file" if kind == "JPEG" else "Animated"
        notes.append(f"{what}: the first {'one' if kind == 'JPEG' else 'frame'} is used.")
    if kind == "PNG" and data[24] == 16:
        # Pillow would cut 16-bit colour down to 8 bits.
        import imagecodecs

        array = imagecodecs.png_decode(data)
        array = array.reshape(*array.shape[:2], -1)
    else:
        array = _samples(image, name)
    return array, image.info.get("icc_profile"), image.info.get("exif")


def _samples(image, name: str) -> np.ndarray:
    """A Pillow image as uint8 H x W x 1..4, palettes and packed modes expanded."""
    if image.mode not in {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"}:
        raise ImageError(f"{name} stores its colour as {image.mode}, which we do not read. Convert it to RGB first.")
    image.load()
    if image.mode == "CMYK":
        return np.asarray(image).view(_Cmyk)
    grey = image.mode in {"1", "L", "LA", "La"}
    mode = ("LA" if grey else "RGBA") if image.has_transparency_data else ("L" if grey else "RGB")
    array = np.asarray(image if image.mode == mode else image.convert(mode))
    return array.reshape(*array.shape[:2], -1)


def _tiff(data: bytes, name: str, notes: list[str]) -> tuple[np.ndarray, bytes | None, bytes | None, bool]:
    """As `_pillow`, and whether the array is upright already.

    Pillow reads 8-bit samples, as it knows every colour and compression; tifffile reads the deeper ones.
    """
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        _check_size(page.imagewidth, page.imagelength, name)
        ends = (start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=False))
        if max(ends, default=0) > len(data):
            raise _cut_off(name)
        extras = page.extrasamples
        colours = page.samplesperpixel - len(extras)
        if colours not in (1, 3, 4) or len(extras) > 1 or page.imagedepth > 1:
            raise ImageError(f"{name} has {page.samplesperpixel} channels; we read grey or RGB, with or without alpha.")
        if len(file.pages) > 1:
            notes.append("Several pages: the first is used.")
        icc = page.iccprofile
        if page.dtype in (np.uint8, np.bool_):
            image = _open(data, "TIFF", name)
            array = _samples(image, name)
            upright = True  # Pillow turns TIFFs, and only TIFFs, while loading
        else:
            if page.photometric.name not in {"MINISBLACK", "MINISWHITE", "RGB"} or page.dtype.kind not in "uf":
                raise ImageError(
                    f"{name} holds {page.dtype} {page.photometric.name} samples, which we do not read. "
                    "Save it as 8 or 16-bit grey or RGB."
                )
            upright = False
            array = page.asarray()
            array = np.moveaxis(array, 0, -1) if page.axes == "SYX" else array
            array = _deep(array.reshape(page.imagelength, page.imagewidth, -1), page, name, notes)
        if file.is_bigtiff:
            orientation = page.tags.get(ORIENTATION)
            # EXIF is read as a classic TIFF, which this is not.
            if not upright and orientation is not None and orientation.value in UPRIGHT:
                array = UPRIGHT[orientation.value](array)
                notes.append("Rotated as its EXIF orientation says.")
            return array, icc, None, True
    return array, icc, data, upright


def _within(samples: np.ndarray, top: float) -> bool:
    """Whether samples fill 0 to ``top``, but for noise."""
    beyond = np.maximum(-samples, samples - top)
    beyond = beyond[beyond > 0]
    return beyond.size == 0 or bool(beyond.max() <= top and beyond.mean() <= NOISE * top)


def _deep(array: np.ndarray, page, name: str, notes: list[str]) -> np.ndarray:
    """Samples over 8 bits as uint16 or float32 at full scale, alpha straight."""
    if array.dtype.kind == "f":
        bad = array.size - np.count_nonzero(np.isfinite(array))
        if bad:
            raise ImageError(f"{name} holds {bad} values that are not finite numbers (NaN or infinity). Replace them.")
        array = array.astype(np.float32)
        colours = array[..., : page.samplesperpixel - len(page.extrasamples)]
        low, high = float(colours.min()), float(colours.max())
        if not np.isfinite((low, high)).all():
            raise ImageError(f"{name} holds values too large for 32-bit floating point. Scale it to 0 to 1.")
        if low < 0 or high > 1:
            top = next((t for t in FLOAT_RANGES if (t == 1 or high > t / 4) and _within(colours, t)), None)
            if top:
                colours /= np.float32(top)
                cut = " and cut there" if low < 0 or high > top else ""
                notes.append(f"Values from {low:g} to {high:g} were read as of 0 to {top}{cut}.")
            else:
                low0, high1 = min(low, 0.0), max(high, 1.0)
                colours -= np.float32(low0)
                colours /= np.float32(high1 - low0)
                notes.append(f"Values from {low:g} to {high:g} were scaled: {low0:g} became 0 and {high1:g} became 1.")
        np.clip(array, 0, 1, out=array)
    elif array.dtype == np.uint16:
        top = 2**page.bitspersample - 1
        if top < 65535:
            array = np.rint(array * (65535 / top)).astype(np.uint16)
    else:
        raise ImageError(f"{name} holds {array.dtype} samples, which we do not read. Save it as 8 or 16-bit.")
    if page.photometric.name == "MINISWHITE":
        array[..., 0] = (65535 if array.dtype == np.uint16 else 1) - array[..., 0]
    if page.extrasamples:
        kind = int(page.extrasamples[0])
        if kind == 0:
            notes.append("An extra channel of no stated meaning was left out.")
            array = array[..., :-1]
        elif kind == 1:
            top = 65535 if array.dtype == np.uint16 else 1
            alpha = array[..., -1:].astype(np.float32)
            straight = np.minimum(array[..., :-1] / np.maximum(alpha, 1e-6) * top, top)
            array[..., :-1] = np.rint(straight) if top > 1 else straight
    return array


def _dcf_profile(raw: bytes | None) -> bytes | None:
    """The profile that a camera names in EXIF in place of embedding it: Adobe RGB (DCF 2.0, interoperability R03)."""
    import imagecodecs
    from PIL import Image

    try:
        exif = Image.Exif()
        exif.load(raw or b"")
        index = exif.get_ifd(EXIF_IFD) and exif.get_ifd(INTEROPERABILITY_IFD).get(1)
    except Exception:  # `_exif` says that it is damaged
        return None
    return imagecodecs.cms_profile("adobergb") if index == "R03" else None


def _exif(raw: bytes | None, notes: list[str]) -> tuple[bytes | None, int]:
    """What EXIF says of the picture, for an upright sRGB copy of it, and the orientation it had."""
    from PIL import Image

    if not raw:
        return None, 1
    try:
        old, new = Image.Exif(), Image.Exif()
        old.load(raw)
        orientation = old.get(ORIENTATION, 1)
        new.update({tag: value for tag, value in old.items() if tag in DESCRIPTIVE})
        camera = dict(old.get_ifd(EXIF_IFD))
        if 0xA001 in camera:
            camera[0xA001] = 1  # sRGB
        if orientation in (5, 6, 7, 8) and {0xA002, 0xA003} <= camera.keys():
            camera[0xA002], camera[0xA003] = camera[0xA003], camera[0xA002]
        # Interoperability and maker notes hold offsets into the old file.
        camera = {tag: value for tag, value in camera.items() if tag not in (INTEROPERABILITY_IFD, 0x927C)}
        gps = dict(old.get_ifd(GPS_IFD))
        if not (new or camera or gps or orientation != 1):
            return None, 1
        new.update({tag: ifd for tag, ifd in ((EXIF_IFD, camera), (GPS_IFD, gps)) if ifd})
        new[ORIENTATION] = 1
        return new.tobytes(), orientation
    except Exception:
        notes.append("Its EXIF data is damaged and was left out.")
        return None, 1


def _to_srgb(colour: np.ndarray, icc: bytes | None, notes: list[str]) -> np.ndarray:
    """Colour through its profile to sRGB, at its own precision; CMYK without a profile by plain arithmetic."""
    import imagecodecs

    space = SPACES.get(icc[16:20]) if icc else None
    channels = colour.shape[2]
    convert = None
    if icc and space == channels:
        convert = partial(
            imagecodecs.cms_transform,
            profile=icc,
            outprofile=imagecodecs.cms_profile("srgb"),
            colorspace={1: "gray", 3: "rgb", 4: "cmyk"}[channels],
            outcolorspace="rgb",
            intent=RELATIVE_COLORIMETRIC,
        )
        try:
            if channels < 4 and _is_srgb(convert, channels):
                return colour
            # Optimised, 16-bit transforms go through a coarse table; unoptimised ones are exact.
            flags = BLACK_POINT | (0 if colour.dtype == np.uint8 else NO_OPTIMISE)
            source = np.ascontiguousarray(colour)
            out = convert(source[..., 0] if channels == 1 else source, flags=flags)
        except Exception:
            convert = None
    if convert is None:
        if icc:
            notes.append("The embedded colour profile does not fit or could not be read, and was ignored.")
        if channels != 4:
            return colour
        from PIL import Image

        notes.append("Converted from CMYK to sRGB.")
        return np.asarray(Image.fromarray(np.ascontiguousarray(colour), "CMYK").convert("RGB"))
    if channels == 4:
        notes.append("Converted from CMYK to sRGB.")
    notes.append(f"Its colour profile '{_profile_name(icc)}' was converted to sRGB.")
    if out.dtype == np.float32:
        np.clip(out, 0, 1, out=out)
    return out[..., 1:2] if channels == 1 else out


def _is_srgb(convert, channels: int) -> bool:
    """Whether a profile changes no 8-bit colour by more than one step: names are no evidence."""
    steps = np.linspace(0, 255, 9 if channels == 3 else 256).astype(np.uint8)
    grid = np.stack(np.meshgrid(*[steps] * channels, indexing="ij"), -1).reshape(1, -1, channels)
    out = convert(np.ascontiguousarray(grid[..., 0] if channels == 1 else grid))
    return int(np.abs(out.astype(int) - grid).max()) <= 1


def _profile_name(icc: bytes) -> str:
    from PIL import ImageCms

    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc))).strip() or "unnamed"
    except Exception:
        return "unnamed"
