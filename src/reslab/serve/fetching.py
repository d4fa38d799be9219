"""Fetch pictures that a request names by address, from servers that the operator has named and from no other."""

import http.client
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from reslab.errors import BadPicture, ResLabError
from reslab.serve.limits import Limits

_CHUNK = 2**16
_PATH = "/?%:@!$&'()*+,;=~"  # characters that stand for themselves, or are escaped already
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Origin:
    """A server, as an address names it."""

    scheme: str
    host: str
    port: int


class Fetcher:
    """The servers that may be asked.

    A connection goes to one of them by its own name and port, never to what a request wrote; redirects are not followed, and
    no proxy is used. So a request cannot make this server talk to others (server-side request forgery).
    """

    def __init__(self, origins: Sequence[str], key: str | None, limits: Limits) -> None:
        """Ask nobody yet.

        Args:
            origins: such as `https://labels.example.org:8080`; addresses without a server go to the first.
            key: is sent to the first as `Authorization: Token KEY`.

        Raises:
            ResLabError: one of them is no server's address, or the key cannot be sent.
        """
        self._origins = [_origin_of(text) for text in origins]
        self._key, self._limits = (key or "").strip(), limits
        if not (self._key.isascii() and self._key.isprintable()):
            raise ResLabError("LABEL_STUDIO_API_KEY holds characters that a header cannot hold", "set it to plain text")

    def read(self, address: str) -> bytes:
        """The file at an address, at most `Limits.max_bytes`; takes up to `Limits.timeout` seconds.

        Raises:
            BadPicture: its server may not be asked, or does not send it.
        """
        origin, path = self._place(address)
        try:
            return self._fetch(origin, path)
        except (OSError, http.client.HTTPException) as error:
            raise BadPicture("", f"{origin.host} does not send it: {error or type(error).__name__}") from None

    def _place(self, address: str) -> tuple[Origin, str]:
        """Which of the servers, and the path there."""
        try:
            parts = urlsplit(address)
            origin = self._origins[0] if address.startswith("/") and not parts.netloc else _origin_of(address, True)
            if origin not in self._origins:
                raise ValueError
        except (ResLabError, ValueError, IndexError):
            raise BadPicture("", "its address is not on a server that --fetch-from names") from None
        query = f"?{parts.query}" if parts.query else ""
        return origin, quote((parts.path or "/") + query, safe=_PATH)

    def _fetch(self, origin: Origin, path: str) -> bytes:
        deadline = time.monotonic() + self._limits.timeout
        kind = http.client.HTTPSConnection if origin.scheme == "https" else http.client.HTTPConnection
        connection = kind(origin.host, origin.port, timeout=self._limits.timeout)
        try:
            trusted = self._key and origin == self._origins[0]
            connection.request("GET", path, headers={"Authorization": f"Token {self._key}"} if trusted else {})
            answer = connection.getresponse()
            if answer.status != 200:
                raise BadPicture("", f"{origin.host} answers {answer.status}")
            data = bytearray()
            while chunk := answer.read1(_CHUNK):
                data += chunk
                if len(data) > self._limits.max_bytes:
                    raise BadPicture("", f"it is larger than {self._limits.max_bytes:,} bytes")
                if time.monotonic() > deadline:
                    raise BadPicture("", f"{origin.host} took longer than {self._limits.timeout:g} seconds")
            return bytes(data)
        finally:
            connection.close()


def _origin_of(text: str, path: bool = False) -> Origin:
    """The server in an address.

    Args:
        path: the address may go on after it.
    """
    try:
        parts = urlsplit(text)
        port = parts.port or _PORTS[parts.scheme]
        bare = path or (parts.path in ("", "/") and not parts.query and not parts.fragment)
        if not parts.hostname or "@" in parts.netloc or "\\" in text or not bare:
            raise ValueError
    except (ValueError, KeyError):
        raise ResLabError(
            f"--fetch-from {text} is not a server's address", "such as https://labels.example.org, without a path"
        ) from None
    return Origin(parts.scheme, parts.hostname, port)
