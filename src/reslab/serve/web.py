"""The web page of the server: the files in `page/`, under a content security policy that allows this server only."""

import hashlib
from pathlib import Path

from fastapi import FastAPI, Request, Response

_FOLDER = Path(__file__).parent / "page"
_INDEX = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}  # not by the system's table, whose entry for .js depends on the machine
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # cached, but revalidated: a new version shows at once, an old one costs a 304
}


def add_page(app: FastAPI) -> None:
    """Serve the page at `/` and its files under `/page/`; both are open where the rest requires a token."""
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix in _TYPES:
            route = "/" if path.name == _INDEX else f"/page/{path.name}"
            app.add_api_route(route, _file_handler(path), methods=["GET"], include_in_schema=False)


def _file_handler(path: Path):  # noqa: ANN202  a request handler, typed below
    """A handler that sends one file, read once, or 304 where the browser's copy is current."""
    body = path.read_bytes()
    headers = {**_HEADERS, "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'}

    async def send(request: Request) -> Response:
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type=_TYPES[path.suffix])

    return send
