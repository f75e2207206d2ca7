"""What the browser fetches besides the page: tiles, pixel values, downloads. Ids are capabilities."""

import asyncio
import logging
from contextlib import asynccontextmanager
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from denoisers import images

from . import services, tiles, workspace

SWEEP_EVERY = 3600  # seconds

FORMATS = {  # extension -> (title, format, bits, media type)
    "png": ("PNG", "PNG", 8, "image/png"),
    "png16": ("PNG, 16 bit", "PNG", 16, "image/png"),
    "tiff": ("TIFF, 16 bit", "TIFF", 16, "image/tiff"),
    "jpg": ("JPEG", "JPEG", 8, "image/jpeg"),
    "webp": ("WebP, lossless", "WEBP", 8, "image/webp"),
}


def file_of(item: str, kind: str) -> tuple[bytes, str]:
    """(bytes, file name) of a kept picture or result, with the metadata of the upload it came from."""
    store = services.store()
    info = store.info(item)
    *_, upload = store.lineage(item)
    like = store.picture(upload)
    _, format, bits, _ = FORMATS[kind]
    data = images.encode(store.pixels(item), format, like=like, bits=bits, quality=100 if kind == "webp" else 95)
    stem = images.safe_name(store.info(upload)["name"]).rsplit(".", 1)[0]
    suffix = kind.removesuffix("16")
    return data, f"{stem}.{info.get('denoiser', 'noisy' if 'noise' in info else 'original')}.{suffix}"


async def download(request):
    item, kind = request.path_params["item"], request.path_params["kind"]
    try:
        if kind == "json":
            headers = {"Content-Disposition": f'attachment; filename="recipe.{item[:8]}.json"'}
            return JSONResponse(services.recipe(item), headers=headers)
        data, name = await run_in_threadpool(file_of, item, kind)
    except KeyError:
        return PlainTextResponse("No such picture; it may have been removed.", status_code=404)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}", "Cache-Control": "private"}
    return Response(data, media_type=FORMATS[kind][3], headers=headers)


@asynccontextmanager
async def lifespan(app):
    """Sweeps the store at the start and every hour while the server runs, and has torch ready for the first visitor."""

    async def sweep():
        while True:
            try:
                await run_in_threadpool(services.store().sweep, workspace.in_use())
            except OSError:  # a full or failing disk; the next hour tries again
                logging.exception("The store could not be swept")
            await asyncio.sleep(SWEEP_EVERY)

    tasks = [asyncio.create_task(sweep()), asyncio.create_task(run_in_threadpool(services.devices))]
    yield
    for task in tasks:
        task.cancel()


def layer(item: str):
    return services.store().display(item)


routes = [*tiles.routes(layer), Route("/download/{item}.{kind}", download)]
