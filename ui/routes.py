"""What the browser fetches besides the page: tiles, pixel values, downloads. Ids are capabilities."""

import asyncio
import logging
from contextlib import asynccontextmanager
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from denoisers import images
from denoisers import jobs as background
from denoisers.errors import DenoiserError

from . import run_files, services, tiles, workspace
from .addresses import at

SWEEP_EVERY = 3600  # seconds

FORMATS = {  # extension -> (title, format, bits, media type)
    "png": ("PNG", "PNG", 8, "image/png"),
    "png16": ("PNG, 16 bit", "PNG", 16, "image/png"),
    "tiff": ("TIFF, 16 bit", "TIFF", 16, "image/tiff"),
    "jpg": ("JPEG", "JPEG", 8, "image/jpeg"),
    "webp": ("WebP, lossless", "WEBP", 8, "image/webp"),
}


def upload_of(item: str) -> images.Picture | None:
    """The upload that an item was made from, or as much of it; None if nobody uploaded it."""
    store = services.store()
    *_, root = store.lineage(item)
    crop = store.info(root).get("crop")
    if crop:
        *_, root = store.lineage(crop["of"])
    picture = store.picture(root)
    return picture and picture.part(crop)


def file_of(item: str, kind: str) -> tuple[bytes, str]:
    """(bytes, file name) of a kept picture or result, with the metadata of the upload it came from."""
    store = services.store()
    info = store.info(item)
    *_, upload = store.lineage(item)
    like = upload_of(item)
    _, format, bits, _ = FORMATS[kind]
    data = images.encode(store.pixels(item), format, like=like, bits=bits, quality=100 if kind == "webp" else 95)
    stem = images.safe_name(store.info(upload)["name"]).rsplit(".", 1)[0]
    suffix = kind.removesuffix("16")
    made = info.get("denoiser") or info.get("made") or ("noisy" if "noise" in info else "original")
    return data, f"{stem}.{made}.{suffix}"


async def download(request):
    item, kind = request.path_params["item"], request.path_params["kind"]
    try:
        if kind == "json":
            headers = {"Content-Disposition": f'attachment; filename="recipe.{item[:8]}.json"'}
            return JSONResponse(services.recipe(item), headers=headers)
        data, name = await run_in_threadpool(file_of, item, kind)
    except KeyError:
        return PlainTextResponse("No such picture; it may have been removed.", status_code=404)
    except DenoiserError as error:  # WebP holds no more than 16,383 pixels a side
        return PlainTextResponse(str(error), status_code=400)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}", "Cache-Control": "private"}
    return Response(data, media_type=FORMATS[kind][3], headers=headers)


@asynccontextmanager
async def lifespan(app):
    """While the server runs, jobs are worked and the store is swept, at the start and every hour. torch is made ready
    for the first visitor."""

    async def sweep():
        while True:
            try:
                await run_in_threadpool(services.store().sweep, workspace.in_use())
            except Exception:  # a full or failing disk, a damaged item; the next hour tries again
                logging.exception("The store could not be swept")
            await asyncio.sleep(SWEEP_EVERY)

    tasks = [asyncio.create_task(sweep()), asyncio.create_task(run_in_threadpool(services.devices))]
    with background.supervised(background.settings.from_environment()):
        yield
    for task in tasks:
        task.cancel()


async def download_set(request):
    """A zip file that an item holds."""
    try:
        path = services.store().folder(request.path_params["item"]) / "set.zip"
        name = services.store().info(path.parent.name)["name"]
    except KeyError:
        path = None
    if path is None or not path.exists():
        return PlainTextResponse("No such set; it may have been removed.", status_code=404)
    return FileResponse(path, media_type="application/zip", filename=name)


ours = [
    *tiles.routes(services.display),
    Route("/download/{item}.{kind}", download),
    Route("/set/{item}.zip", download_set),
    *run_files.routes,
]
routes = [Route(at(route.path), route.endpoint) for route in ours]
