"""Pixels to files: whole or not at all, with the EXIF, the alpha and the depth of the picture they came from."""

from __future__ import annotations

import io
import os
import struct
import unicodedata
import uuid
import zlib
from functools import cache
from itertools import accumulate
from pathlib import Path

import numpy as np

from ..errors import ImageError
from .picture import Picture, quantise, to_float

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".bmp": "BMP",
}
DEEP = {"PNG", "TIFF"}
LONGEST_SIDE = {"JPEG": 65_535, "WEBP": 16_383}
MAX_NAME = 120


def write(path, image, like: Picture | None = None, format=None, bits=None, quality: int = 95) -> None:
    """Write a picture. The file appears whole, or what was there before stays.

    Parameters
    ----------
    path : str or Path
        Its suffix gives the format, unless `format` does.
    image, like, quality
        As for `encode`.
    format : str, optional
        "PNG", "JPEG", "TIFF", "WEBP" or "BMP".
    bits : {8, 16}, optional
        The default is 16 where `like` (or a Picture given as `image`) had more than 8 and the format can, else 8.

    Raises
    ------
    ImageError
        As for `encode`, or the file cannot be written.
    """
    path = Path(path)
    format = _format(format or path.suffix)
    source = like or (image if isinstance(image, Picture) else None)
    if bits is None:
        bits = 16 if source is not None and source.bits > 8 and format in DEEP else 8
    data = encode(image, format, like, bits, quality)
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        try:
            part.write_bytes(data)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ImageError(f"'{path}' could not be written: {error.strerror}.") from error


def encode(image, format: str, like: Picture | None = None, bits: int = 8, quality: int = 95) -> bytes:
    """A picture as the bytes of a file, sRGB, rounded half to even after clipping to [0, 1].

    Parameters
    ----------
    image : array_like or Picture, H x W or H x W x C
        Float in [0, 1], uint8 or uint16; C is 1 or 3.
    format : str
        "PNG", "JPEG", "TIFF", "WEBP" or "BMP", or a suffix such as ".jpg".
    like : Picture, optional
        Where EXIF and alpha come from; the default is `image` itself where that is a Picture. JPEG and BMP
        hold no alpha, BMP no EXIF: there they are left out.
    bits : {8, 16}
        Per sample; 16 is for PNG and TIFF.
    quality : int, 1 to 100
        For JPEG and WebP. From 90 JPEG keeps colour at full resolution; at 100 WebP is lossless.

    Raises
    ------
    ImageError
        The array is no image, alpha has another size, or the format cannot hold what was asked.
    """
    format = _format(format)
    if bits not in (8, 16) or (bits == 16 and format not in DEEP):
        raise ImageError(f"{format} cannot be written with {bits} bits; use 8, or 16 for PNG and TIFF.")
    if not 1 <= quality <= 100:
        raise ImageError(f"Quality is {quality}; give 1 to 100.")
    if like is None and isinstance(image, Picture):
        like = image
    samples = quantise(to_float(image), bits)
    height, width, channels = samples.shape
    if max(height, width) > LONGEST_SIDE.get(format, 2**31 - 1):
        raise ImageError(f"{width} x {height} is too large for {format}; its longest side is {LONGEST_SIDE[format]}.")
    if like is not None and like.alpha is not None and format not in ("JPEG", "BMP"):
        if like.alpha.shape != (height, width):
            raise ImageError(
                f"The image is {width} x {height} and the alpha to put back {like.alpha.shape[1]} x "
                f"{like.alpha.shape[0]}. Give a `like` of the same size, or none."
            )
        samples = np.dstack([samples, quantise(like.alpha, bits)])
    exif = like.exif if like is not None else None
    # A grey file takes no RGB profile; grey without one is read as sRGB everywhere.
    icc = _srgb() if channels == 3 else None
    return {"PNG": _png, "TIFF": _tiff}.get(format, _lossy)(samples, exif, icc, format=format, quality=quality)


def safe_name(name: str) -> str:
    """A file name safe to save under and to show, from whatever was uploaded.

    Keeps any script; drops folders, control and direction characters, and what shells, HTML or Windows would trip on.
    At most `MAX_NAME` characters and 240 bytes, suffix kept.
    """
    name = unicodedata.normalize("NFC", str(name)).replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(c for c in name if unicodedata.category(c)[0] != "C" and c not in "<>:\"'`|?*&")
    name = " ".join(name.split()).rstrip(". ")
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix) > 11:  # safetensors
        stem, suffix = name, ""
    suffix = dot * bool(suffix) + suffix
    stem = stem.strip(". ")[: MAX_NAME - len(suffix)]
    while len((stem + suffix).encode()) > 240:
        stem = stem[:-1]
    stem = stem.rstrip(". ") or "picture"
    reserved = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10))}
    # Windows reads CON.anything.png as the console too.
    if stem.split(".")[0].strip().upper() in reserved:
        stem = f"_{stem[: MAX_NAME - len(suffix) - 1]}"
    return stem + suffix


def _format(given: str) -> str:
    """A format's name from a name or a suffix."""
    key = str(given).lower()
    format = FORMATS.get(key) or FORMATS.get(f".{key}")
    if format is None:
        raise ImageError(f"'{given}' is no format that we write; use {', '.join(FORMATS)}.")
    return format


@cache
def _srgb() -> bytes:
    """A small sRGB profile, the same bytes every time."""
    from PIL import ImageCms

    icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    icc[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # the date, else the moment of making
    return bytes(icc)


def _png(samples: np.ndarray, exif: bytes | None, icc: bytes | None, **_) -> bytes:
    import imagecodecs

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    room = samples.nbytes + samples.shape[0]  # a filter's byte a row; its own guess is too small for narrow pictures
    data = imagecodecs.png_encode(samples if samples.shape[2] > 1 else samples[..., 0], out=room + room // 64 + 1024)
    extra = chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(icc)) if icc else chunk(b"sRGB", b"\0")
    if exif:
        extra += chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    header = 8 + 25  # signature and IHDR; all three chunks belong between IHDR and IDAT
    return data[:header] + extra + data[header:]


def _tiff(samples: np.ndarray, exif: bytes | None, icc: bytes | None, **_) -> bytes:
    """Baseline TIFF, deflated strips with horizontal prediction: the one writer here that keeps EXIF at 16 bits."""
    from PIL import Image
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    height, width, channels = samples.shape
    rows = max(1, 2**18 // width)
    strips = []
    for top in range(0, height, rows):
        strip = samples[top : top + rows].astype(samples.dtype.newbyteorder("<"))
        strip[:, 1:] -= strip[:, :-1].copy()
        strips.append(zlib.compress(strip.tobytes(), 6))
    counts = [len(strip) for strip in strips]

    head = b"II*\0\x08\0\0\0"
    ifd = ImageFileDirectory_v2(ifh=head)
    if exif:
        kept = Image.Exif()
        kept.load(exif)
        for tag, value in kept.items():
            ifd[tag] = dict(kept.get_ifd(tag)) if tag in (0x8769, 0x8825) else value
    ifd[256], ifd[257] = width, height
    ifd[258] = (samples.dtype.itemsize * 8,) * channels
    ifd[259], ifd[317] = 8, 2  # deflate, horizontal prediction
    ifd[262] = 1 if channels < 3 else 2
    ifd.tagtype[273] = ifd.tagtype[279] = 4  # 32 bits, whatever the first values
    ifd[273], ifd[278], ifd[279] = tuple(accumulate(counts[:-1], initial=0)), rows, tuple(counts)
    ifd[277], ifd[284] = channels, 1
    if channels in (2, 4):
        ifd[338] = 2  # straight alpha
    if icc:
        ifd[34675] = icc
    # Pillow moves the offsets, given from the first strip, past what it writes.
    return b"".join([head, ifd.tobytes(len(head)), *strips])


def _lossy(samples: np.ndarray, exif: bytes | None, icc: bytes | None, format: str, quality: int) -> bytes:
    """JPEG, WebP and BMP, by Pillow."""
    from PIL import Image

    options: dict = {}
    if format != "BMP":
        options = {"quality": quality, "icc_profile": icc}
        # One JPEG segment holds at most 64 KB.
        if exif and (format == "WEBP" or len(exif) < 65_000):
            options["exif"] = exif
    if format == "JPEG":
        options["subsampling"] = 0 if quality >= 90 else 2
    if format == "WEBP":
        options |= {"lossless": quality == 100, "exact": True}
        if samples.shape[2] == 2:
            samples = samples[..., [0, 0, 0, 1]]
    out = io.BytesIO()
    Image.fromarray(samples if samples.shape[2] > 1 else samples[..., 0]).save(out, format, **options)
    return out.getvalue()
