"""Files of a job's run folder, to whoever was shown their address: a trained network, a zip of pictures, a table."""

import hashlib
import hmac
import secrets
from urllib.parse import quote

from starlette.responses import FileResponse, PlainTextResponse
from starlette.routing import Route

from denoisers.jobs.settings import from_environment

from .addresses import at

FILES = {
    "average.safetensors": "application/octet-stream",
    "result.zip": "application/zip",
    "results.json": "application/json",
}
"""What can be downloaded, with its media type."""
SECRET = secrets.token_bytes(32)
"""Signs the addresses, since a download knows no visitor; a restart of the server makes new ones."""


def signature(id: str, name: str) -> str:
    return hmac.new(SECRET, f"{id}/{name}".encode(), hashlib.sha256).hexdigest()[:32]


def address(id: str, name: str, as_name: str) -> str:
    """Where a job's file can be had, saved as ``as_name``."""
    return at(f"/job/{id}/{signature(id, name)}/{name}?as={quote(as_name)}")


async def send(request):
    id, signed, name = (request.path_params[part] for part in ("id", "signature", "name"))
    known = hmac.compare_digest(signed.encode(), signature(id, name).encode())
    path = from_environment().root / "runs" / id / name
    if not known or name not in FILES or not path.is_file():
        return PlainTextResponse("No such file; open it from the Jobs page again.", status_code=404)
    return FileResponse(path, media_type=FILES[name], filename=request.query_params.get("as", name))


routes = [Route("/job/{id}/{signature}/{name}", send)]
