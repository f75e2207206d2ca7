"""How soon the Noise studio answers a slider on a picture of 1 megapixel, in a real Chromium.

usage: python -m benchmarks.studio_slider [--photo FILE]

From a key press on a slider until the first tile of the new picture is in the browser, and until the whole picture is
done; the shipped InvDN. Without a photo scikit-image's astronaut is repeated to 1024 x 1024, with camera noise.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import denoisers

ROOT = Path(__file__).parents[1]
SLIDERS = {"Make more noise like it": ["Strength"], "Restore it": ["Samples", "Temperature"]}
PRESSES = 5


def photo() -> bytes:
    from skimage import data

    clean = np.tile(data.astronaut(), (2, 2, 1)) / np.float32(255)
    return denoisers.images.encode(denoisers.noise.add_noise(clean, "camera", 10 / 255, 0), "PNG")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path)
    given = parser.parse_args().photo
    from playwright.sync_api import sync_playwright

    sys.path.insert(0, str(ROOT / "tests" / "browser"))
    from viewer_helpers import CHROMIUM_FLAGS, chromium_path, serve

    print("| slider | first tile, s: median (longest) | all done, s: median |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = given or Path(folder) / "photo.png"
        if not given:
            path.write_bytes(photo())
        with serve(ROOT / "app.py", Path(folder) / "log", env=os.environ | {"GRAINWISE_DATA": folder}) as address:
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
            page = browser.new_page(viewport={"width": 1440, "height": 1400})
            page.set_default_timeout(60_000)
            page.goto(f"{address}/noise_studio")
            page.locator("input[type=file]").first.set_input_files(path)
            busy = page.get_by_role("button", name="Cancel")

            def finished():
                page.get_by_text("a fresh draw has 1").wait_for()
                page.wait_for_timeout(1000)
                while busy.count():
                    page.wait_for_timeout(20)

            finished()
            for branch, names in SLIDERS.items():
                page.get_by_role("radio", name=branch).or_(page.get_by_role("button", name=branch)).first.click()
                finished()
                for name in names:
                    first, whole = [], []
                    for turn in range(PRESSES):
                        page.wait_for_timeout(1500)
                        slider, began = page.get_by_role("slider", name=name).first, time.perf_counter()
                        with page.expect_response(re.compile(r"/tiles/[0-9a-f]{32}/")) as answer:
                            slider.press("ArrowRight" if turn < 3 else "ArrowLeft")
                        answer.value.finished()
                        first.append(time.perf_counter() - began)
                        finished()
                        whole.append(time.perf_counter() - began)
                    print(
                        f"| {name} | {np.median(first):.2f} ({max(first):.2f}) | {np.median(whole):.1f} |", flush=True
                    )
            browser.close()


if __name__ == "__main__":
    main()
