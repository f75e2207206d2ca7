"""What is written comes back: samples, alpha, EXIF and colour."""

import io

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from denoisers.errors import ImageError
from denoisers.images import Picture, as_uint8, encode, read, safe_name, to_float, write


def samples(height, width, channels, bits, seed=0):
    return np.random.default_rng(seed).integers(0, 2**bits, (height, width, channels)).astype(f"u{bits // 8}")


def saved(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.sampled_from([1, 3]),
    bits=st.sampled_from([8, 16]),
    format=st.sampled_from(["PNG", "TIFF"]),
    alpha=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_lossless_formats_are_exact(height, width, channels, bits, format, alpha, seed):
    colour = to_float(samples(height, width, channels, bits, seed))
    opacity = to_float(samples(height, width, 1, bits, seed + 1))[..., 0] if alpha else None
    back = read(encode(Picture(colour, opacity), format, bits=bits))
    assert (back.bits, back.format, back.notes) == (bits, format, [])
    np.testing.assert_array_equal(back.pixels, colour)
    if alpha:
        np.testing.assert_array_equal(back.alpha, opacity)
    else:
        assert back.alpha is None


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("channels", [1, 3])
def test_others_can_read_our_files(format, channels):
    array = samples(700, 600, channels, 8)  # several strips
    with Image.open(io.BytesIO(encode(array, format))) as image:
        np.testing.assert_array_equal(np.asarray(image).reshape(array.shape), array)
    if format == "TIFF":
        deep = samples(700, 600, channels, 16)
        back = tifffile.imread(io.BytesIO(encode(deep, format, bits=16)))
        np.testing.assert_array_equal(back.reshape(deep.shape), deep)


def test_webp_at_quality_100_is_exact():
    array = samples(9, 7, 3, 8)
    alpha = to_float(samples(9, 7, 1, 8))[..., 0]
    back = read(encode(Picture(to_float(array), alpha), "WEBP", quality=100))
    np.testing.assert_array_equal(as_uint8(back.pixels), array)
    np.testing.assert_array_equal(back.alpha, alpha)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 9, 3), (9, 1)])
def test_tiny(format, shape):
    back = read(encode(np.full(shape, 0.5), format, quality=100))
    assert back.pixels.shape[:2] == shape[:2]
    assert np.abs(np.asarray(back) - 0.5).max() < 2 / 255


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_modes_of_png(mode):
    array = samples(6, 8, 4, 8)
    image = Image.fromarray(array, "RGBA")
    image = image.convert("RGB").convert(mode) if mode in ("1", "P") else image.convert(mode)
    back = read(saved(image, "PNG"))
    grey = mode in ("1", "L", "LA")
    assert back.pixels.shape == (6, 8, 1 if grey else 3)
    np.testing.assert_array_equal(as_uint8(back.pixels).squeeze(), np.asarray(image.convert("L" if grey else "RGB")))
    assert (back.alpha is not None) == (mode in ("LA", "RGBA"))


def test_palette_with_transparency():
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    back = read(saved(image, "PNG", transparency=1))
    np.testing.assert_array_equal(back.alpha, [[1, 0], [1, 0]])
    np.testing.assert_array_equal(back.pixels[0, 0], [1, 0, 0])


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk(format):
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    back = read(saved(image, format))
    np.testing.assert_allclose(back.pixels[8, 8], [1, 0, 0], atol=0.03)
    assert back.notes == ["Converted from CMYK to sRGB."]
    assert back.alpha is None


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(format, orientation):
    colour = np.kron(np.array([[0, 50, 100], [150, 200, 250]], np.uint8), np.ones((16, 16), np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "Maker"
    image = Image.fromarray(np.dstack([colour] * 3))
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}.get(format, {})
    back = read(saved(image, format, exif=exif, **options))

    image.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert back.pixels.shape == expected.shape
    assert np.abs(back.pixels * 255 - expected).max() < 3
    assert back.notes == (["Rotated as its EXIF orientation says."] if orientation > 1 else [])
    kept = Image.Exif()
    kept.load(back.exif)
    assert (kept[0x0112], kept[0x010F]) == (1, "Maker")


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_orientation_of_other_tiffs(bits, big):
    array = samples(4, 6, 3, bits)
    out = io.BytesIO()
    with tifffile.TiffWriter(out, bigtiff=big) as file:
        file.write(array, photometric="rgb", metadata=None, extratags=[(274, 3, 1, 6, True)])
    np.testing.assert_array_equal(read(out.getvalue()).pixels, to_float(np.rot90(array, -1)))


@pytest.mark.parametrize(
    ("suffix", "bits"), [("png", 8), ("png", 16), ("tif", 8), ("tif", 16), ("jpg", 8), ("webp", 8)]
)
def test_exif_and_alpha_are_kept(tmp_path, suffix, bits):
    exif = Image.Exif()
    exif[0x010F], exif[0x8769], exif[0x8825] = "Maker", {0x829A: 0.01, 0xA001: 65535}, {1: "N"}
    exif[0x0112] = 8
    source = Image.fromarray(samples(5, 7, 4, 8), "RGBA")
    like = read(saved(source, "PNG", exif=exif))
    path = tmp_path / f"out.{suffix}"
    write(path, like.pixels * 0.5, like=like, bits=bits, quality=100)
    back = read(path)
    kept = Image.Exif()
    kept.load(back.exif)
    assert kept[0x010F] == "Maker"
    assert kept.get_ifd(0x8769)[0x829A] == 0.01
    assert kept.get_ifd(0x8769)[0xA001] == 1
    assert kept.get_ifd(0x8825)[1] == "N"
    assert back.notes == []
    assert back.bits == bits
    if suffix != "jpg":
        np.testing.assert_array_equal(back.alpha, like.alpha)


def test_default_depth_follows_the_source(tmp_path):
    like = read(encode(samples(3, 3, 3, 16), "PNG", bits=16))
    write(tmp_path / "a.png", like)
    write(tmp_path / "a.jpg", like)
    assert (read(tmp_path / "a.png").bits, read(tmp_path / "a.jpg").bits) == (16, 8)
    np.testing.assert_array_equal(read(tmp_path / "a.png").pixels, like.pixels)


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write(path, np.zeros((2, 2)))
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(ImageError, match="No space left"):
        write(path, np.ones((2, 2)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_same_pixels_same_bytes():
    array = samples(5, 5, 3, 8)
    assert encode(array, "PNG") == encode(array, "PNG")
    icc = Image.open(io.BytesIO(encode(array, "JPEG"))).info["icc_profile"]
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc)))


def adobe_to_srgb(values):
    linear = values ** (563 / 256)
    matrix = np.array([[1.3983557, -0.3983557, 0], [0, 1, 0], [0, -0.0429290, 1.0429290]])
    linear = np.clip(linear @ matrix.T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize(("bits", "tolerance"), [(8, 1 / 255), (16, 0.1 / 255)])
def test_profile_is_converted(bits, tolerance):
    import imagecodecs

    icc = imagecodecs.cms_profile("adobergb")
    array = (samples(8, 8, 3, bits) // 2 + 2 ** (bits - 2)).astype(f"u{bits // 8}")
    out = io.BytesIO()
    tifffile.imwrite(out, array, photometric="rgb", iccprofile=icc)
    back = read(out.getvalue())
    assert back.icc == icc
    assert back.notes == ["Its colour profile 'Adobe RGB (compatible)' was converted to sRGB."]
    np.testing.assert_allclose(back.pixels, adobe_to_srgb(to_float(array)), atol=tolerance)
    if bits == 8:
        jpeg = read(saved(Image.new("RGB", (16, 16), (64, 128, 192)), "JPEG", icc_profile=icc, quality=100))
        np.testing.assert_allclose(jpeg.pixels[8, 8], adobe_to_srgb(np.array([64, 128, 192]) / 255), atol=2.5 / 255)


def test_adobe_rgb_that_a_camera_names_in_exif_alone_is_converted():
    exif = Image.Exif()
    camera = exif.get_ifd(0x8769)
    camera[0xA001], camera[0xA005] = 65535, {1: "R03", 2: b"0100"}
    back = read(saved(Image.new("RGB", (16, 16), (200, 60, 60)), "JPEG", exif=exif.tobytes(), quality=100))
    np.testing.assert_allclose(back.pixels[8, 8], adobe_to_srgb(np.array([200, 60, 60]) / 255), atol=2.5 / 255)
    assert back.notes == ["Its colour profile 'Adobe RGB (compatible)' was converted to sRGB."]
    grey = read(saved(Image.new("L", (16, 16), 90), "JPEG", exif=exif.tobytes(), quality=100))
    assert grey.notes == [] and grey.samples[8, 8] == 90


def test_srgb_profile_changes_nothing():
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    array = samples(8, 8, 3, 8)
    back = read(saved(Image.fromarray(array), "PNG", icc_profile=icc))
    np.testing.assert_array_equal(as_uint8(back.pixels), array)
    assert (back.icc, back.notes) == (icc, [])


def test_lab_profile_on_rgb_is_ignored_with_a_note():
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    array = samples(8, 8, 3, 8)
    back = read(saved(Image.fromarray(array), "PNG", icc_profile=icc))
    np.testing.assert_array_equal(as_uint8(back.pixels), array)
    assert "was ignored" in back.notes[0]


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_animation_gives_its_first_frame(format):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    back = read(saved(frames[0], format, save_all=True, append_images=frames[1:], lossless=True))
    np.testing.assert_array_equal(back.pixels[4, 4], [1, 0, 0])
    assert back.notes == ["Animated: the first frame is used."]


def test_float_tiff():
    inside = np.random.default_rng(0).random((5, 6, 3), np.float32)
    out = io.BytesIO()
    tifffile.imwrite(out, inside, photometric="rgb")
    back = read(out.getvalue())
    np.testing.assert_array_equal(back.pixels, inside)
    assert back.bits == 32
    out = io.BytesIO()
    tifffile.imwrite(out, inside[..., 0] * 2000 - 500)
    back = read(out.getvalue())
    assert back.pixels.min() == 0 and back.pixels.max() == 1
    assert "were scaled" in back.notes[0]


@pytest.mark.parametrize("top", [1, 255, 65535])
def test_a_float_tiff_with_unclipped_noise_is_read_as_its_clean_partner_is(top):
    clean = np.random.default_rng(0).uniform(0, top, (40, 40)).astype(np.float32)
    clean[0, :2] = 0, top
    noisy = clean + np.random.default_rng(1).normal(0, 0.2 * top, clean.shape).astype(np.float32)
    for values in (clean, noisy):
        out = io.BytesIO()
        tifffile.imwrite(out, values)
        back = read(out.getvalue())
        np.testing.assert_allclose(back.pixels[..., 0], np.clip(values / top, 0, 1), atol=1e-6)
    assert f"were read as of 0 to {top} and cut there" in back.notes[0]


@pytest.mark.parametrize(("low", "high"), [(0, 500), (-1, 1), (0, 1.9), (0, 120000), (0, 4095), (0, 3)])
def test_a_float_tiff_of_another_range_loses_nothing(low, high):
    values = np.linspace(low, high, 1000, dtype=np.float32).reshape(20, 50)
    out = io.BytesIO()
    tifffile.imwrite(out, values)
    back = read(out.getvalue())
    np.testing.assert_allclose(back.pixels[..., 0], (values - low) / (high - low), atol=1e-6)
    assert "were scaled" in back.notes[0]


def test_the_alpha_of_a_float_tiff_is_not_scaled_with_its_colours():
    array = np.random.default_rng(0).random((5, 6, 4), np.float32) * 255
    array[..., 3] = np.linspace(-0.1, 1.1, 6)
    out = io.BytesIO()
    tifffile.imwrite(out, array, photometric="rgb", extrasamples=[2])
    back = read(out.getvalue())
    np.testing.assert_allclose(back.pixels, array[..., :3] / 255, atol=1e-6)
    np.testing.assert_allclose(back.alpha.squeeze(), np.clip(array[..., 3], 0, 1), atol=1e-6)


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_narrow_pictures_of_pure_noise_fit_in_a_png(width, dtype):
    samples = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (2000, width, 1), dtype=dtype)
    data = encode(to_float(samples), "PNG", bits=8 * samples.itemsize)
    np.testing.assert_array_equal(read(data).samples, samples)


def test_12_bit_tiff_fills_the_range():
    out = io.BytesIO()
    tifffile.imwrite(out, np.full((4, 4), 4095, np.uint16), bitspersample=12, compression="none")
    assert read(out.getvalue()).pixels.max() == 1


def test_premultiplied_16_bit_tiff_is_made_straight():
    array = np.full((4, 4, 4), 16384, np.uint16)
    array[..., 3] = 32768
    out = io.BytesIO()
    tifffile.imwrite(out, array, photometric="rgb", extrasamples=[1])
    np.testing.assert_allclose(read(out.getvalue()).pixels, 0.5, atol=1e-4)


@given(st.text(max_size=300))
def test_safe_name(name):
    safe = safe_name(name)
    assert 0 < len(safe) <= 120 and len(safe.encode()) <= 255
    assert not set(safe) & set("/\\<>:\"'|?*\0\n\r") and not safe.startswith(".")
    assert safe_name(safe) == safe


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\été 2024.JPG", "été 2024.JPG"),
        ('<img src="x">.png', "img src=x.png"),
        ("con.png", "_con.png"),
        ("", "picture"),
        (".png", "picture.png"),
        ("写真\u202egnp.exe", "写真gnp.exe"),
        ("a" * 300 + ".tiff", "a" * 115 + ".tiff"),
        ("a" * 300 + ".safetensors", "a" * 108 + ".safetensors"),
    ],
)
def test_safe_name_examples(name, safe):
    assert safe_name(name) == safe


@pytest.mark.parametrize("bits", [8, 16])
def test_samples_are_kept_as_they_are_and_pixels_made_when_asked_for(bits):
    array = samples(5, 7, 3, bits)
    back = read(encode(array, "PNG", bits=bits))
    np.testing.assert_array_equal(back.samples, array)
    assert "pixels" not in vars(back)
    np.testing.assert_array_equal(back.pixels, to_float(array))
    assert back.pixels.dtype == np.float32


def test_sixteen_bits_are_rounded_to_eight():
    array = samples(300, 2, 3, 16)
    np.testing.assert_array_equal(as_uint8(array), np.rint(array / 65535 * 255).astype(np.uint8))
