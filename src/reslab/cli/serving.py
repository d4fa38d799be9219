"""`serve`: a model over HTTP."""

import dataclasses
import ipaddress
import os
import sys
from functools import partial
from typing import Annotated

from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.foreign import FOREIGN_OPTIONS, ForeignOptions
from reslab.cli.sets import DEFAULT_SETS, SetChoice
from reslab.engine.open import EngineName
from reslab.errors import ResLabError
from reslab.serve.fetching import Fetcher
from reslab.serve.limits import Limits
from reslab.serve.sources import Source, Watch, named_models

TOKEN_VARIABLE = "RESLAB_TOKEN"
"""The environment variable whose value clients must send."""

KEY_VARIABLE = "LABEL_STUDIO_API_KEY"
"""The environment variable whose value is sent to the first server of --fetch-from."""

_MOST_PROCESSES = 256
_LIMITS = Limits()


@Parameter(name="*")
@dataclasses.dataclass(frozen=True)
class ServerOptions:
    """Where the server listens, and with how many processes."""

    host: str = "127.0.0.1"
    "Address to listen on; the default is reachable from this machine only."
    port: int = 8000
    "Port to listen on; 0 chooses a free one."
    processes: int = 1
    "Processes that answer on the one port, started again where they end; an exported model's memory is shared."
    fetch_from: tuple[str, ...] = ()
    "A server, such as https://labels.example.org, from which pictures that Label Studio names may be fetched; by default none."

    def refuse_too_many(self) -> None:
        """Refuse more processes than this system can have."""
        if self.processes > 1 and sys.platform == "win32":
            raise ResLabError("--processes needs a system that can fork, and Windows cannot", "start several servers")
        if self.processes > _MOST_PROCESSES:
            raise ResLabError(f"--processes {self.processes} is too large", f"it ends at {_MOST_PROCESSES}")


_OPTIONS = ServerOptions()


def serve(
    model: str,
    /,
    *more: str,
    server: ServerOptions = _OPTIONS,
    limits: Annotated[Limits, Parameter(name="*")] = _LIMITS,
    foreign: ForeignOptions = FOREIGN_OPTIONS,
    engine: EngineName = "auto",
    sets: SetChoice = DEFAULT_SETS,
) -> None:
    """Answer over HTTP: POST /predict, POST /explain, GET /model, the web page at /.

    If RESLAB_TOKEN is set in the environment, clients must send it: Authorization: Bearer TOKEN. Requests are logged as
    JSON lines on stderr. SIGTERM and Ctrl-C let running requests finish. A model file that changes is served from then on;
    SIGHUP reads all of them again. Without a token, a server on a loopback address answers only requests to localhost,
    127.0.0.1 or [::1], and none from pages of other origins.

    Args:
        model: An exported model.onnx, a packaged model, what PyTorch can open and export on the fly, or a folder of models.
        more: Further models. Each is NAME=MODEL, or has its file's name, and answers at /models/NAME/predict; the first
            also at /predict.
        engine: auto, fastest, torch, onnxruntime or openvino: the library that computes, where the file leaves a choice.
    """
    paths = named_models([model, *more])
    for path in paths.values():
        foreign.refuse_for(path)
    try:
        from reslab.serve.app import create_app
        from reslab.serve.run import bind_socket, open_for_serving, run_server
        from reslab.serve.supervisor import run_processes
    except ModuleNotFoundError as error:
        raise ResLabError(f"serve needs the package {error.name}", "pip install 'reslab[serve]'") from None
    server.refuse_too_many()
    token, forked = _token(), server.processes > 1
    opened = [
        Source(name, path, partial(open_for_serving, path, foreign.assumed(), show.people.print, engine, forked))
        for name, path in paths.items()
    ]
    with bind_socket(server.host, server.port) as listener:
        local = ipaddress.ip_address(listener.getsockname()[0]).is_loopback
        watch, create = Watch(opened), partial(create_app, limits=limits, token=token, sets=sets.options())
        fetcher = Fetcher(server.fetch_from, os.environ.get(KEY_VARIABLE), limits)
        create = partial(create, local=local and token is None, processes=server.processes, fetcher=fetcher)
        if not local and token is None:
            show.people.print(
                f"warning: anyone who can reach {server.host} can use this server; set {TOKEN_VARIABLE} to require a token"
            )
        shown = f"[{server.host}]" if ":" in server.host else server.host
        said = f"{', '.join([model, *more])} answers at http://{shown}:{listener.getsockname()[1]}"
        if forked:
            run_processes(server.processes, watch, create, listener, lambda: show.say(said))
        else:
            engines = {source.name: source.open() for source in opened}
            run_server(create(engines, watch=watch), listener, lambda: show.say(said))


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
