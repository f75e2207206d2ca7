"""From the end of an upload of a large JPEG to its first picture in the viewer.

    python -m benchmarks.upload_to_picture [--photo FILE] [--megapixels 24] [--browser]

The photo (scikit-image's astronaut if none is given) is repeated to the size asked for and saved at quality 92. First
in this process: the bytes are decoded and kept, then every tile that the viewer asks for at "fit" is made; imports are
not included. With --browser also through the real server and a real Chromium: from the moment the server has answered
the upload until the last tile of that first view is in the browser, Streamlit's reruns included. CPU seconds are those
of this process, and tell more than the wall clock where the machine is shared.
"""

import argparse
import io
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
LEVELS_BELOW_FULL = {2, 3, 4, 5}  # 6000 x 4000 in a view 900 pixels wide: 1500 x 1000 and what is coarser


def large_jpeg(photo: Path | None, megapixels: float) -> bytes:
    if photo:
        tile = np.asarray(Image.open(photo).convert("RGB"))
    else:
        from skimage import data

        tile = data.astronaut()
    height = int((megapixels * 1e6 / 1.5) ** 0.5)
    width = int(1.5 * height)
    tile = np.tile(tile, (-(-height // tile.shape[0]), -(-width // tile.shape[1]), 1))[:height, :width]
    out = io.BytesIO()
    Image.fromarray(tile).save(out, "JPEG", quality=92)
    return out.getvalue()


def in_process(data: bytes):
    from denoisers import images, noise
    from ui import tiles
    from ui.store import Store

    images.read(images.encode(np.zeros((8, 8, 3)), "JPEG"))  # the imports
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        clock, cpu = time.perf_counter(), time.process_time()

        def told(what):
            nonlocal clock, cpu
            print(f"| {what} | {time.perf_counter() - clock:.2f} | {time.process_time() - cpu:.2f} |", flush=True)
            clock, cpu = time.perf_counter(), time.process_time()

        item = store.put_upload(data, "large.jpg")
        told("decoded and kept")
        server, array = tiles.TileServer(store.display), store.display(item)
        top = tiles.max_level(*array.shape[:2])
        for level in range(top + 1):
            if top - level in LEVELS_BELOW_FULL:
                height, width = (-(-side // 2 ** (top - level)) for side in array.shape[:2])
                for y in range(-(-height // tiles.TILE)):
                    for x in range(-(-width // tiles.TILE)):
                        server.tile(item, level, x, y)
        told("tiles of the first view")
        noise.estimate_sigma(store.display(item))
        told("noise level (after the picture is shown)")


def in_browser(data: bytes):
    from playwright.sync_api import sync_playwright

    sys.path.insert(0, str(ROOT / "tests" / "browser"))
    from viewer_helpers import CHROMIUM_FLAGS, chromium_path, serve

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "large.jpg"
        path.write_bytes(data)
        with serve(ROOT / "app.py", Path(folder) / "log", env=os.environ | {"GRAINWISE_DATA": folder}) as address:
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
            for turn in ("first visitor", "second visitor, another picture"):
                page = browser.new_page(viewport={"width": 1440, "height": 1000})
                page.set_default_timeout(120_000)
                moments = {"uploaded": [], "tiles": []}

                def note(request, moments=moments):
                    kind = "tiles" if "/tiles/" in request.url else "uploaded"
                    if kind == "tiles" or "upload_file" in request.url:
                        moments[kind].append(time.perf_counter())

                page.on("requestfinished", note)
                page.goto(address)
                page.get_by_text("Or try a sample").wait_for()
                page.wait_for_timeout(2000)  # the samples' thumbnails are drawn
                page.locator("input[type=file]").first.set_input_files(path)
                while not moments["tiles"] or time.perf_counter() - moments["tiles"][-1] < 1.5:
                    page.wait_for_timeout(50)
                first, last = (moments["tiles"][i] - moments["uploaded"][-1] for i in (0, -1))
                print(f"| {turn}: first tile in the browser, of {len(moments['tiles'])} | {first:.2f} | |")
                print(f"| {turn}: last tile of the first view | {last:.2f} | |", flush=True)
                page.close()
                path.write_bytes(data + b"\0")  # another hash: nothing is known of it
            browser.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("--browser", action="store_true")
    args = parser.parse_args()
    data = large_jpeg(args.photo, args.megapixels)
    print(f"JPEG of {len(data) / 1e6:.1f} MB\n\n| | seconds | CPU seconds |\n|---|---|---|")
    in_process(data)
    if args.browser:
        in_browser(data)


if __name__ == "__main__":
    main()
