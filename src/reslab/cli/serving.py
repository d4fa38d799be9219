"""`serve`: a model over HTTP."""

import ipaddress
import os
from typing import Annotated

from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.foreign import FOREIGN_OPTIONS, ForeignOptions
from reslab.cli.sets import DEFAULT_SETS, SetChoice
from reslab.engine.open import EngineName, find_model
from reslab.errors import ResLabError
from reslab.serve.limits import Limits

TOKEN_VARIABLE = "RESLAB_TOKEN"
"""The environment variable whose value clients must send."""

_LIMITS = Limits()


def serve(
    model: str,
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Annotated[Limits, Parameter(name="*")] = _LIMITS,
    foreign: ForeignOptions = FOREIGN_OPTIONS,
    engine: EngineName = "auto",
    sets: SetChoice = DEFAULT_SETS,
) -> None:
    """Answer over HTTP: POST /predict, POST /explain, GET /model, the web page at /.

    If RESLAB_TOKEN is set in the environment, clients must send it: Authorization: Bearer TOKEN. Requests are logged as
    JSON lines on stderr. SIGTERM and Ctrl-C let running requests finish. Without a token, a server on a loopback address
    answers only requests to localhost, 127.0.0.1 or [::1], and none from pages of other origins.

    Args:
        model: An exported model.onnx, a packaged model, or what PyTorch can open and export on the fly.
        host: Address to listen on; the default is reachable from this machine only.
        port: Port to listen on; 0 chooses a free one.
        engine: auto, torch, onnxruntime or openvino: the library that computes, where the file leaves a choice.
    """
    foreign.refuse_for(find_model(model))
    try:
        from reslab.serve.app import create_app
        from reslab.serve.run import bind_socket, open_for_serving, run_server
    except ModuleNotFoundError as error:
        raise ResLabError(f"serve needs the package {error.name}", "pip install 'reslab[serve]'") from None
    token = _token()
    with bind_socket(host, port) as listener:
        local = ipaddress.ip_address(listener.getsockname()[0]).is_loopback
        served = open_for_serving(model, foreign.assumed(), show.people.print, engine)
        app = create_app(served, limits, token, local=local and token is None, sets=sets.options())
        if not local and token is None:
            show.people.print(
                f"warning: anyone who can reach {host} can use this server; set {TOKEN_VARIABLE} to require a token"
            )
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listener.getsockname()[1]}"
        run_server(app, listener, lambda: show.say(f"{model} answers at {address}"))


def _token() -> str | None:
    """The token that clients must send, without the white space that files of secrets end in."""
    token = os.environ.get(TOKEN_VARIABLE)
    if token is None:
        return None
    if not token.strip():
        raise ResLabError(f"{TOKEN_VARIABLE} is empty", "set it to a long random text, or unset it")
    if not token.strip().isprintable():
        raise ResLabError(
            f"{TOKEN_VARIABLE} holds characters that a header cannot hold", "set it to one line of plain text"
        )
    return token.strip()
