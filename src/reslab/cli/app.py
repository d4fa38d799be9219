"""The command line: verbs by name, imported when they are used; every mistake as `error:` and `hint:`, exit code 2."""

import errno
import os
import re
import sys
import time
import traceback
import warnings
from contextvars import ContextVar
from typing import Any, get_args

from cyclopts import App, CycloptsError, MissingArgumentError
from PIL import Image

from reslab.cli.helping import LocalisedHelp
from reslab.cli.translations import localise
from reslab.errors import ResLabError, visible
from reslab.system.bounds import BOUNDS, Bound
from reslab.system.language import ASKED

STARTED: ContextVar[float] = ContextVar("STARTED")
"""When the command began (`time.monotonic`), before anything large was imported: `--minutes` counts from here."""

WORDS: ContextVar[list[str]] = ContextVar("WORDS")
"""The command line as it was given, without `reslab`: for a script that gives it again."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+|nan|inf(?:inity)?)", re.IGNORECASE)
_INTERNAL = 70  # sysexits.h: software error
_INTERRUPTED = 130

_PEERS_WORDS = {
    "data": "DATA is the first argument: reslab train DATA",
    "imgsz": "here it is --size",
    "img-size": "here it is --size",
    "image-size": "here it is --size",
    "pretrained": "here it is --weights",
    "batch": "here it is --batch-size",
    "bs": "here it is --batch-size",
    "learning-rate": "here it is --lr",
    "lr0": "here it is --lr",
    "num-epochs": "here it is --epochs",
    "arch": "here it is --model",
    "device": "the fastest device is used; CUDA_VISIBLE_DEVICES hides one",
    "output": "here it is --out",
    "project": "here it is --out",
    "val-split": "here it is --val",
}
"""Options of other tools -> what to say about them."""

VERBS = {
    "demo": ("training:demo", "Built-in digits: train, score, report, predict; under a minute."),
    "models": ("models:models", "List the zoo: layers, parameters, multiply-accumulates, source."),
    "check": ("data:check", "Check the data, read-only; exit code 1 if something must be fixed."),
    "shard": ("sharding:shard", "Pack pictures into tar shards with an index, on this disk or at a URL."),
    "preview": ("data:preview", "What the network sees, as one picture."),
    "train": ("training:train", "Check the data, train, calibrate, score and report."),
    "resume": ("training:resume", "Continue a run where it stopped."),
    "runs": ("training:runs", "List the runs in a folder: score, interval, time."),
    "eval": ("evaluating:evaluate", "Score a model on labelled pictures, with intervals."),
    "compare": ("evaluating:compare", "Is one model really better? Paired, on the same pictures."),
    "review": ("reviewing:review", "Which labels are wrong? The most doubtful first, as a table and a page."),
    "predict": ("predicting:predict", "Classify files, folders and patterns; one row per picture."),
    "adopt": ("adopting:adopt", "Turn an ONNX classifier from elsewhere into a ResLab model file."),
    "embed": ("features:embed", "Write the features of pictures to a file: .npz or .parquet."),
    "near": ("features:near", "Find the pictures of a data set that are nearest to others."),
    "explain": ("explaining:explain", "Show where in the picture the answer comes from."),
    "export": ("exporting:export", "Write a model for other programs, verified to answer as before."),
    "serve": ("serving:serve", "Serve a model over HTTP, with a web page; no torch needed."),
    "search": ("search:search", "Search the settings that matter most, within a time limit."),
    "lr-find": ("search:lr_find", "Measure the loss over the learning rate, and suggest one."),
    "bench": ("benching:bench", "Measure images per second, latency and memory on this machine."),
    "study": ("study:study", "Why residual networks: plain against residual, by depth."),
    "learn": ("learning:app", "The course: lessons, and exercises that judge your own code."),
    "report": ("evaluating:report", "One self-contained HTML page about a run."),
}
"""Verb -> module and function, and its line of help."""


def build_app() -> App:
    """The command line, its verbs not yet imported."""
    app = App(
        name="reslab",
        help=localise("From a folder of pictures to a classifier that you can understand, train, trust and ship."),
        help_epilogue=localise(
            "Start with: reslab demo. Each verb explains itself: reslab train --help. Tracebacks: --debug."
        ),
        help_formatter=LocalisedHelp(),
        suppress_keyboard_interrupt=False,  # `run` reports it
        config=_refuse_nonsense,
    )
    for verb, (place, help_line) in VERBS.items():
        app.command(f"reslab.cli.{place}", name=verb, help=localise(help_line))
    return app


def _refuse_nonsense(app: App, commands: tuple[str, ...], arguments: Any) -> None:
    """Refuse numbers out of bounds and empty arguments before the verb begins."""
    for argument in arguments:
        name = argument.name.lstrip("-")
        kinds = {argument.hint, *get_args(argument.hint)}
        kinds |= {kind for each in kinds for kind in get_args(each)}
        for value in [token.value for token in argument.tokens if token.implicit_value != ()]:  # () is --option alone
            if not value and name != "PATHS" and bool not in kinds:  # an empty path has its row, a switch no value
                raise ResLabError(f"{argument.name} is empty", "is a shell variable unset?")
            if {int, float} & kinds and _NUMBER.fullmatch(value):
                number = int(value) if value.lstrip("+-").isdigit() else float(value)
                (bound_of(name.replace("-", "_")) or Bound()).check(argument.name, number)


def bound_of(option: str) -> Bound | None:
    """What the number of an option may be, the same for every verb: as for the setting of that name, or by `BOUNDS`."""
    if option in BOUNDS:
        return BOUNDS[option]
    from reslab.train.config import SETTINGS  # not at the top: it loads NumPy

    found = [row.allowed for name, row in SETTINGS.items() if name.rpartition(".")[2] == option]
    return next((allowed for allowed in found if isinstance(allowed, Bound)), None)


def run(tokens: list[str]) -> int:
    """Run one command; gives its exit code."""
    STARTED.set(time.monotonic())
    WORDS.set(tokens)
    debug = "--debug" in tokens
    tokens = [t for t in tokens if t != "--debug"]
    asked = re.search(r"--lang[ =](en|zh)\b", " ".join(tokens))
    ASKED.set(asked and asked[1])
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # \udce9 is how JSON has it, too
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        result = build_app()(tokens or ["--help"], exit_on_error=False, print_error=False, result_action="return_value")
        return result if isinstance(result, int) else 0
    except ResLabError as error:
        return _complain(error.message, error.hint, error.exit_code, debug)
    except CycloptsError as error:
        return _complain(*_explain(error), 2, debug)
    except KeyboardInterrupt:
        return _complain("interrupted", None, _INTERRUPTED, debug)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ImportError as error:
        cause = error if error.name else error.__cause__  # cyclopts wraps what a verb's own imports raise
        missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
        if missing is None:
            return _fault(error, debug)
        return _complain(f"this needs the package {missing}", "pip install 'reslab[train]'", 2, debug)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            return _complain(f"{error.filename or 'the system'}: {error.strerror or error}", None, 2, debug)
        return _complain("the disk is full", "free some space; reslab resume continues a run", 2, debug)
    except Exception as error:
        return _fault(error, debug)


def _fault(error: Exception, debug: bool) -> int:
    return _complain(f"unexpected: {error!r}", "this is a bug in ResLab; --debug shows where", _INTERNAL, debug)


def _complain(message: str, hint: str | None, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(localise(f"error: {visible(message)}"), file=sys.stderr)
    if hint:
        print(localise(f"hint: {visible(hint)}"), file=sys.stderr)
    return code


def _explain(error: CycloptsError) -> tuple[str, str | None]:
    """The parser's message, and its suggestion or that for another tool's option as the hint."""
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        verb = " ".join(error.command_chain or ())
        return f"{verb} needs {error.argument.names[0].lstrip('-').upper()}", f"reslab {verb} --help"
    text = " ".join(str(error).split())
    unknown = re.search(r"(?:Unknown option: |Unused Tokens: \['?)\"?-{0,2}([\w-]+)", text)
    word = unknown.group(1).replace("_", "-") if unknown else ""
    message, _, suggestion = text.partition(" Did you mean ")
    message = message[:1].lower() + message[1:].rstrip(".")
    if unknown and word in _PEERS_WORDS:
        return message, _PEERS_WORDS[word]
    if suggestion:
        return message, "did you mean " + suggestion.split(" Available")[0]
    return message, "see reslab --help" if "ommand" in message[:16] else "see --help of this verb"
