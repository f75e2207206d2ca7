"""Everything wrong that people hand in is refused in one sentence that names it."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from denoisers.errors import ImageError
from denoisers.images import as_uint8, encode, picture, read, reading, to_float, write

PIXELS = np.random.default_rng(0).random((64, 48, 3))
FILES = {f: encode(PIXELS, f) for f in ("PNG", "JPEG", "TIFF", "WEBP", "BMP")}
FILES["PNG 16"] = encode(PIXELS, "PNG", bits=16)
FILES["TIFF 16"] = encode(PIXELS, "TIFF", bits=16)


def tiff(array, **options):
    out = io.BytesIO()
    tifffile.imwrite(out, array, **options)
    return out.getvalue()


def huge_png(width, height):
    header = b"IHDR" + struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + FILES["PNG"][33:]
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "'a.png' is empty"),
        (b"Dear diary,\n" * 40, "'a.png' is not a picture .*text"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "'a.png' is a HEIC or AVIF picture.*save it as JPEG"),
        (bytes(range(128, 256)), "'a.png' is not a picture"),
        (huge_png(12_001, 10_000), r"12001 x 10000, 120.01 megapixels; the limit is 120"),
        (huge_png(200_000, 200_000), "limit of 120 megapixels"),
        (tiff(np.zeros((4, 5, 5), np.uint8), photometric="minisblack", planarconfig="contig"), "5 channels"),
        (tiff(np.zeros((4, 5, 5), np.uint16), photometric="minisblack", planarconfig="contig"), "5 channels"),
        (tiff(np.array([[0, np.nan, np.inf]], np.float32)), "2 values that are not finite"),
        (tiff(np.zeros((4, 5), np.uint32)), "uint32"),
        (tiff(np.zeros((4, 5), np.int16)), "int16"),
        (tiff(np.zeros((4, 5), np.complex64)), "complex64"),
    ],
)
def test_refused(data, message):
    with pytest.raises(ImageError, match=message):
        read(data, name="a.png")


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.99])
def test_cut_off(kind, part):
    data = FILES[kind]
    with pytest.raises(ImageError, match="cut off"):
        read(data[: int(len(data) * part)], name="a")


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(sorted(FILES)), edits=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=6))
def test_damage_reads_or_is_refused(kind, edits):
    data = bytearray(FILES[kind])
    for place, value in edits:
        # Half of the edits in the header, where structure lives.
        data[place % (len(data) if place % 2 else 200)] = value
    try:
        back = read(bytes(data))
    except ImageError:
        return
    assert back.pixels.dtype == np.float32 and back.pixels.shape[2] in (1, 3)
    assert back.pixels.min() >= 0 and back.pixels.max() <= 1


def test_size_is_checked_before_decoding(monkeypatch):
    monkeypatch.setattr(reading, "_samples", lambda *_: pytest.fail("decoded"))
    monkeypatch.setattr(reading, "MAX_PIXELS", 64 * 48 - 1)
    for data in FILES.values():
        with pytest.raises(ImageError, match="48 x 64"):
            read(data)


def test_too_many_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_BYTES", 100)
    (tmp_path / "a.png").write_bytes(FILES["PNG"])
    for source in (FILES["PNG"], tmp_path / "a.png"):
        with pytest.raises(ImageError, match="the limit is"):
            read(source)


def test_paths(tmp_path):
    with pytest.raises(ImageError, match="'nowhere/a.png' does not exist"):
        read("nowhere/a.png")
    with pytest.raises(ImageError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(ImageError, match="could not be opened"):
        read("a\0b")
    with pytest.raises(ImageError, match="not NoneType"):
        read(None)
    with pytest.raises(ImageError, match="could not be written"):
        write(tmp_path / "nowhere" / "a.png", PIXELS)
    with pytest.raises(ImageError, match="'.gif' is no format"):
        write(tmp_path / "a.gif", PIXELS)


def test_damaged_exif_costs_only_itself():
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\0\0garbage")
    back = read(out.getvalue())
    assert back.exif is None and back.pixels.shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "JPEG", "bits": 16}, "16 bits"),
        ({"format": "PNG", "bits": 12}, "12 bits"),
        ({"format": "JPEG", "quality": 0}, "Quality"),
        ({"format": "PNG", "like": picture.Picture(to_float(PIXELS), np.ones((2, 2), np.float32))}, "same size"),
    ],
)
def test_what_cannot_be_encoded(arguments, message):
    with pytest.raises(ImageError, match=message):
        encode(PIXELS, **arguments)
    with pytest.raises(ImageError, match="too large for WEBP"):
        encode(np.zeros((1, 20_000)), "WEBP")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 5)), "no pixels"),
        (np.zeros(5), "array is 5;"),
        (np.zeros((4, 4, 4)), "alpha beside"),
        (np.zeros((3, 8, 9)), "channels last"),
        (np.zeros((4, 4), np.int64), "int64"),
        (np.zeros((4, 4), complex), "complex128"),
        (np.array([["a"]]), "holds <U1"),
        (np.array([[0, np.nan]]), "1 of the array's 2 values"),
        (np.array([[0, -np.inf]]), "not finite"),
        (np.array([[0, 255.0]]), "from 0 to 255"),
    ],
)
def test_arrays_refused(array, message):
    with pytest.raises(ImageError, match=message):
        to_float(array)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.float16, np.float32, np.float64, ">u2", ">f4"])
def test_arrays_accepted(dtype):
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    out = to_float(np.full((2, 3), top, dtype))
    assert (out.dtype, out.shape, out.max()) == (np.float32, (2, 3, 1), 1)


def test_noise_past_the_ends_is_kept_and_clipped_only_when_written():
    noisy = np.array([[-0.4, 1.6]], np.float32)
    np.testing.assert_array_equal(to_float(noisy)[..., 0], noisy)
    np.testing.assert_array_equal(as_uint8(noisy), [[0, 255]])


def test_rounding_is_half_to_even():
    np.testing.assert_array_equal(as_uint8(np.array([0.5, 1.5, 2.5], np.float32) / np.float32(255)), [0, 2, 2])
