"""The web page of the server: the files in `page/`, sent as they are under a policy that allows nothing foreign."""

import hashlib
from pathlib import Path

from fastapi import FastAPI, Request, Response

_FOLDER = Path(__file__).parent / "page"
_FRONT = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}  # ours: what the system's table says about .js depends on the machine
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # kept, but asked for again: a new version shows at once, an old one costs a 304
}


def add_page(app: FastAPI) -> None:
    """Serve the page at `/` and what it loads under `/page/`; both stay open where the rest wants a token."""
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix in _TYPES:
            place = "/" if path.name == _FRONT else f"/page/{path.name}"
            app.add_api_route(place, _sender(path), methods=["GET"], include_in_schema=False)


def _sender(path: Path):  # noqa: ANN202  a request handler, typed below
    """A handler that sends one file, read once, or says that the browser's copy is still good."""
    body = path.read_bytes()
    headers = {**_HEADERS, "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'}

    async def send(request: Request) -> Response:
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type=_TYPES[path.suffix])

    return send
