"""ResLab: from a folder of pictures to a residual-network classifier that one can understand, train, trust and ship.

    import reslab
    network = reslab.build("resnet18", num_classes=10)
    run = reslab.fit(reslab.recipe("standard"), on_event=print)
    reslab.load(run.folder).predict(["a.jpg"])
    reslab.score(run.folder, "digits").score

Names are fetched when first used (PEP 562), so that `import reslab` loads neither torch nor anything else.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reslab.errors import ResLabError as ResLabError
    from reslab.evaluate.predict import load_model as load
    from reslab.nn.config import ResNetConfig as ResNetConfig
    from reslab.nn.zoo import ZOO as ZOO
    from reslab.nn.zoo import build_named as build
    from reslab.run.evaluate import evaluate as score
    from reslab.run.examine import examine_data as examine
    from reslab.run.train import resume as resume
    from reslab.run.train import train as fit
    from reslab.train.config import TrainConfig as TrainConfig
    from reslab.train.recipes import recipe as recipe

    __version__: str

# onnxruntime reports to its maker unless this stands in the environment before it is imported, by whichever module.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_PUBLIC = {
    "build": ("reslab.nn.zoo", "build_named"),
    "fit": ("reslab.run.train", "train"),
    "resume": ("reslab.run.train", "resume"),
    "score": ("reslab.run.evaluate", "evaluate"),
    "examine": ("reslab.run.examine", "examine_data"),
    "load": ("reslab.evaluate.predict", "load_model"),
    "recipe": ("reslab.train.recipes", "recipe"),
    "TrainConfig": ("reslab.train.config", "TrainConfig"),
    "ResNetConfig": ("reslab.nn.config", "ResNetConfig"),
    "ZOO": ("reslab.nn.zoo", "ZOO"),
    "ResLabError": ("reslab.errors", "ResLabError"),
}
"""Public name -> where it lives."""


if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return importlib.import_module("importlib.metadata").version("reslab")
        if name not in _PUBLIC:
            raise AttributeError(f"module 'reslab' has no attribute {name!r}")
        module, attribute = _PUBLIC[name]
        return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return [*_PUBLIC, "__version__"]
