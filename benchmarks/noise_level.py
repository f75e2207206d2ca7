"""Error of the noise estimators on real pairs, on white noise of known strength, and on clean photographs.

usage: python -m benchmarks.noise_level DATA   (see ``benchmarks.manifest``)

The plain truth of a real pair is the standard deviation of noisy - clean. In most PolyU pairs a good part of that is
no noise: the camera moved, or the light changed, between the shots. So each pair is also judged by its `local`
residual: what remains in each 32 x 32 block after least squares on 1, the clean picture and its two slopes. Of white
noise those four take 0.2 %, which is made up for; what they take beyond, the scene predicts: it is no noise.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from denoisers.images import as_uint8, is_grey, to_float
from denoisers.noise import estimate_sigma

from .manifest import clean_rows, read

METHODS = ("chen", "camera", "auto")
WHITE = (5, 10, 15, 25, 50)  # of 255
CROP = 1024  # centre of larger pictures
PER_SET = 12  # pictures without a noisy partner, evenly through the set
BLOCK = 32


def centre(path: Path) -> np.ndarray:
    pixels = read(path, CROP)
    if is_grey(pixels):  # WebP stores grey as colour
        pixels = pixels[..., :1]
    return pixels


def as_jpeg(image, quality: int = 92):
    """What a JPEG file of usual quality keeps of it, its colour at half the resolution."""
    Image.fromarray(as_uint8(image.clip(0, 1))).save(file := io.BytesIO(), "JPEG", quality=quality, subsampling="4:2:0")
    return to_float(np.asarray(Image.open(file)))


def grey(image):
    return image.mean(-1, keepdims=True)


def predicted(noisy, clean):
    """noisy - clean, and what the clean picture says of it, in N blocks x BLOCK^2 values x 1."""
    h, w = (n // BLOCK * BLOCK for n in clean.shape[:2])

    def blocks(image):
        cut = image[:h, :w].reshape(h // BLOCK, BLOCK, w // BLOCK, BLOCK, -1)
        return cut.transpose(0, 2, 4, 1, 3).reshape(-1, BLOCK**2)

    slopes = np.gradient(clean, axis=(0, 1))
    causes = np.stack([np.ones((len(blocks(clean)), BLOCK**2)), *map(blocks, (clean, *slopes))], -1)
    rest = blocks(noisy - clean)[..., None]
    across = causes.swapaxes(1, 2)
    weights = np.linalg.solve(across @ causes + 1e-6 * np.eye(4), across @ rest)
    return rest, causes @ weights


def local_residual(noisy, clean) -> float:
    rest, known = predicted(noisy, clean)
    return float(np.sqrt(np.square(rest - known).sum() / (len(rest) * (BLOCK**2 - 4))))


def cases(folder: Path):
    """Yield (the table's rows, image, true sigma; 0 for a clean photograph)."""
    sets: dict[str, list[dict]] = {}
    for row in clean_rows(folder):
        sets.setdefault(row["set"], []).append(row)
    rng = np.random.default_rng(0)
    for name, rows in sets.items():
        if rows[0]["noisy"]:
            for row in rows:
                noisy, clean = centre(folder / row["noisy"]), centre(folder / row["clean"])
                for kind, convert in (("colour", np.asarray), ("grey", grey)):
                    y, x = convert(noisy), convert(clean)
                    for ending, truth in (("", float(np.std(y - x))), (", local residual", local_residual(y, x))):
                        yield [f"{whose} {kind}{ending}" for whose in (name, "all pairs")], y, truth
            continue
        for row in rows[:: max(1, len(rows) // PER_SET)][:PER_SET]:
            clean = centre(folder / row["clean"])
            kinds = {"grey": grey(clean)} if clean.shape[2] == 1 else {"colour": clean, "grey": grey(clean)}
            for kind, x in kinds.items():
                yield [f"{name} {kind}, clean"], x, 0.0
                if name in ("cbsd68", "set12"):
                    for sigma in WHITE:
                        noise = rng.standard_normal(x.shape, np.float32)
                        whose = [f"{name} {kind} + white {sigma}", f"all {kind} + white"]
                        yield whose, x + sigma / 255 * noise, sigma / 255
                        if kind == "colour":
                            saved = as_jpeg(x + sigma / 255 * noise)
                            yield (
                                [f"{name} {kind} + white {sigma}, JPEG", "all colour + white, JPEG"],
                                saved,
                                np.std(saved - x),
                            )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder")
    rows: dict[str, list[list[float]]] = {}
    for names, image, truth in cases(parser.parse_args().data):
        found = [truth, *(estimate_sigma(image, method) for method in METHODS)]
        for name in names:
            rows.setdefault(name, []).append(found)
    print("Error of sigma in %: median of the absolute (median signed; largest absolute).")
    print("Clean photographs: the level read, of 255: median (largest).\n")
    print("| noise | images | " + " | ".join(METHODS) + " |\n|---|---:|" + "---:|" * len(METHODS))
    for name, values in rows.items():
        truth, *levels = np.array(values).T
        if truth.any():
            errors = [100 * (level / truth - 1) for level in levels]
            cells = [f"{np.median(abs(e)):.0f} ({np.median(e):+.0f}; {max(abs(e)):.0f})" for e in errors]
        else:
            cells = [f"{255 * np.median(level):.1f} ({255 * max(level):.1f})" for level in levels]
        print(f"| {name} | {len(values)} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
