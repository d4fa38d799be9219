"""Make the packaged model: weights of a run on all training pictures, calibration of a run that left a tenth of them out.

    python reproduce/packaged.py LENDER DATA [--run RUN] [--name cifar10_resnet20]

RUN is seed 0 of `reproduce/cifar10.py DATA cifar10_resnet20`; without it the packaged weights stay as they are. No picture was
kept aside for RUN, so its temperature, thresholds and quantiles are those of LENDER, the same recipe on nine tenths:

    reslab train DATA --recipe cifar10_resnet20 --precision bfloat16 --seed 1 --val 0.1 --out LENDER

The outlier threshold transfers too, since the score is a ratio of distances within one network; the mean of the features is
RUN's own. Whether all this holds for RUN is checked once on the test pictures, which fitted nothing; the card shows it.

Written into src/reslab/packaged: NAME.safetensors, NAME.onnx with its certificate, and NAME.md, the model card. The list of
training pictures keeps every fourth hash, so that the file stays below 1.2 MB and `eval` still notices when it is asked about
the pictures that trained it.
"""

import argparse
import dataclasses
import re
from pathlib import Path
from typing import Any

from reslab.data.reader import load
from reslab.data.sources import read_data
from reslab.data.splits import SplitConfig
from reslab.engine.open import open_engine
from reslab.evaluate.evaluation import Evaluation, evaluate_engine
from reslab.evaluate.outliers import mean_features
from reslab.model.file import Header, read_model, write_model
from reslab.model.run import MODEL_NAME, packaged_file, read_config, read_journal
from reslab.nn.config import config_from
from reslab.nn.count import macs, parameters
from reslab.run.evaluate import EvaluationOptions, evaluate
from reslab.run.export import ExportOptions, export_model
from reslab.system.files import write_atomically
from reslab.tasks.task import Calibration

KEEP_EVERY = 4
LENT = "left-out fold"

CARD = """# {name}

| | |
|---|---|
| network | {network}: {parameters:,} parameters, {macs:.1f} M multiply-accumulates at {size} px |
| trained on | the 50,000 training pictures of CIFAR-10 (Krizhevsky 2009), all of them; none validated |
| recipe | {recipe} |
| compute | {compute} |
| test score | {top1} (n = {n:,}); with the mirror image {mirrored:.2f} % |
| calibration | temperature {temperature:.3f}, fitted on {lent:,} pictures; test pictures: ECE {ece:.3f} |
| answers accepted | from a probability of {confidence:.3f} on, up to an outlier score of {outlier:.4f}; of the test pictures \
{accepted}, and {accuracy} of those are right |
| prediction sets | {sets} |
| classes | {classes} |
| licence | Apache-2.0, like the program |

The test pictures fitted and chose nothing. The seed was named before training, and this is seed 0, whatever it scored. He et al.
2015, table 6, give 91.25 % for this network.

Temperature, thresholds and quantiles were fitted on pictures that another network of the same recipe had not seen, since this
one has seen them all; the last rows say how well they fit it.

Made again by:

```
python reproduce/cifar10.py DATA cifar10_resnet20 --seeds 0 --out RUNS
reslab train DATA --recipe cifar10_resnet20 --precision bfloat16 --seed 1 --val 0.1 --out LENDER
python reproduce/packaged.py LENDER DATA --run RUNS/cifar10_resnet20-0
```

It knows ten kinds of small pictures. What is none of them it often calls *not from here*, and not always: see
docs/en/reference/trust.md. As a start for other pictures it shows how fine-tuning works, not what weights trained on ImageNet
would give.
"""


def lent_calibration(lender: Path, data: str) -> Calibration:
    """Fitted on the pictures that the lender did not train on."""
    engine = open_engine(lender)
    catalog = SplitConfig.recorded(engine.header.training).apply(read_data(data))
    mean = mean_features(engine, catalog.split("train"), load)
    engine.header = dataclasses.replace(engine.header, feature_mean=mean)
    fitted = evaluate_engine(engine, catalog.split("val"), "val").calibrate()
    return dataclasses.replace(fitted.calibration, split=LENT)


def write_files(name: str, run: Path | None, data: str, calibration: Calibration) -> None:
    """The model file, and the exported one with its certificate."""
    path = packaged_file(name, ".safetensors")
    model = read_model(run / MODEL_NAME if run else path)
    seen = [row.tobytes() for row in (model.seen[::KEEP_EVERY] if run else model.seen)]
    training = model.header.training | {"seen_kept": f"1/{KEEP_EVERY}", "licence": "Apache-2.0"}
    header = dataclasses.replace(model.header, training=training, calibration=calibration, scores={})

    def write(header: Header) -> None:
        write_model(path, model.tensors, header, seen)

    write(header)
    pictures = read_data(data).split("train")
    write(dataclasses.replace(header, feature_mean=mean_features(open_engine(path), pictures, load)))
    judged = evaluate(path, data, "test").document()
    score = {key: judged[key] for key in ("n", "top1", "nll", "ece")} | {"chose_the_model": False}
    write(dataclasses.replace(read_model(path).header, scores={"test": score}))
    export_model(path, packaged_file(name, ".onnx"), ExportOptions())


def share(value: dict[str, float]) -> str:
    return f"{100 * value['value']:.2f} % ({100 * value['low']:.2f} to {100 * value['high']:.2f})"


def facts_of(run: Path | None, name: str) -> dict[str, str]:
    """What the training was, for the card: of the run, or of the present card."""
    if run is None:
        card = packaged_file(name, ".md").read_text()
        return {row: re.findall(rf"\| {row} \| (.*) \|", card)[0] for row in ("recipe", "compute")}
    document, epochs = read_config(run), [e for e in read_journal(run) if e["event"] == "epoch"]
    config = document["config"]
    recipe = (
        f"`{config['recipe']}`, seed {config['seed']}: {config['epochs']} epochs of {config['batch_size']} pictures"
    )
    steps = f"{epochs[-1]['step']:,} steps, {config['precision']}"
    return {
        "recipe": f"{recipe}, {steps}",
        "compute": f"{sum(e['seconds'] for e in epochs):.0f} s on {document['machine']}",
    }


def card_of(name: str, plain: Evaluation, mirrored: Evaluation, facts: dict[str, str]) -> str:
    header, found = read_model(packaged_file(name, ".safetensors")).header, plain.document()
    network, size, calibration = config_from(header.network), header.preprocess.size, header.calibration
    rejection: Any = calibration.rejection
    sets = [
        f"promised {100 * one['coverage']:.0f} %: {share(one['measured'])}, {one['size']:.2f} labels on average"
        for one in found["prediction_sets"]
        if one["method"] == "lac"
    ]
    return CARD.format(
        name=name, network=header.network["name"], parameters=parameters(network), macs=macs(network, size) / 1e6, size=size,
        n=found["n"], top1=share(found["top1"]), mirrored=100 * mirrored.score.top1.value, lent=calibration.n, ece=found["ece"],
        temperature=calibration.temperature, confidence=rejection.min_confidence, outlier=rejection.max_outlier,
        accepted=share(found["rejection"]["accepted"]), accuracy=share(found["rejection"]["accuracy"]),
        sets="; ".join(sets), classes=", ".join(header.classes), **facts,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lender", type=Path)
    parser.add_argument("data")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--name", default="cifar10_resnet20")
    options = parser.parse_args()
    facts = facts_of(options.run, options.name)
    write_files(options.name, options.run, options.data, lent_calibration(options.lender, options.data))
    path = packaged_file(options.name, ".safetensors")
    judged = [evaluate(path, options.data, "test", how=EvaluationOptions(mirror=mirror)) for mirror in (False, True)]
    write_atomically(packaged_file(options.name, ".md"), card_of(options.name, *judged, facts).encode())


if __name__ == "__main__":
    main()
