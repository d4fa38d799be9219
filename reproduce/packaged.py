"""Make the packaged model of a trained run: thin its list of training pictures, judge it on the test pictures, export it.

    python reproduce/packaged.py RUN DATA [--name cifar10_resnet20]

RUN is seed 0 of `reproduce/cifar10.py DATA cifar10_resnet20`. Written into src/reslab/packaged: NAME.safetensors,
NAME.onnx and NAME.md, the model card. The list of training pictures keeps every fourth hash, so that the file stays
below 1.2 MB and `eval` still notices when it is asked about the pictures that trained it.
"""

import argparse
import dataclasses
from dataclasses import asdict
from pathlib import Path

from reslab.engine.torch import network_from_file
from reslab.export.graph import write_onnx
from reslab.model.file import read_model, write_model
from reslab.model.run import MODEL_NAME, packaged_file, read_config, read_journal
from reslab.nn.config import config_from
from reslab.nn.count import macs, parameters
from reslab.system.files import write_atomically

KEEP_EVERY = 4

CARD = """# {name}

| | |
|---|---|
| network | {network}: {parameters:,} parameters, {macs:.1f} M multiply-accumulates at {size} px |
| trained on | the 50,000 training pictures of CIFAR-10 (Krizhevsky 2009), all of them; none validated |
| recipe | `{recipe}`, seed {seed}: {epochs} epochs of {batch} pictures, {steps:,} steps, {precision} |
| compute | {seconds:.0f} s on {machine} |
| test score | {top1:.2f} % (95 % interval {low:.2f} to {high:.2f}, n = {n:,}); with the mirror image {mirrored:.2f} % |
| calibration | none fitted: no picture was kept aside for it; ECE {ece:.3f} |
| classes | {classes} |
| licence | Apache-2.0, like the program |

The test pictures were used once, for this table. The seed was named before training, and this is seed {seed}, whatever it
scored. He et al. 2015, table 6, give 91.25 % for this network.

Made again by:

```
python reproduce/cifar10.py DATA {recipe} --seeds {seed} --out RUNS
python reproduce/packaged.py RUNS/{recipe}-{seed} DATA
```

It knows ten kinds of small pictures and answers with one of them whatever it is shown. As a start for other pictures it
shows how fine-tuning works, not what weights trained on ImageNet would give.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data")
    parser.add_argument("--name", default="cifar10_resnet20")
    options = parser.parse_args()
    model = read_model(options.run / MODEL_NAME)
    judged = {
        m: scoring.evaluate(options.run, options.data, "test", how=scoring.Judging(mirror=m)) for m in (False, True)
    }
    plain = judged[False].score
    test = {"n": plain.n, "top1": asdict(plain.top1), "nll": plain.nll, "ece": plain.ece, "chose_the_model": False}
    training = model.header.training | {"seen_kept": f"1/{KEEP_EVERY}", "licence": "Apache-2.0"}
    header = dataclasses.replace(model.header, scores={"test": test}, training=training)
    seen = model.seen[::KEEP_EVERY].copy()
    rows = [row.tobytes() for row in seen]
    write_model(packaged_file(options.name, ".safetensors"), model.tensors, header, rows)
    write_onnx(packaged_file(options.name, ".onnx"), network_from_file(model, options.run), header, seen)
    document, epochs = read_config(options.run), [e for e in read_journal(options.run) if e["event"] == "epoch"]
    config, network, top1 = document["config"], config_from(model.header.network), plain.top1
    card = CARD.format(
        name=options.name, network=header.network["name"], parameters=parameters(network),
        macs=macs(network, config["size"]) / 1e6, size=config["size"], recipe=config["recipe"], seed=config["seed"],
        epochs=config["epochs"], batch=config["batch_size"], steps=epochs[-1]["step"], precision=config["precision"],
        seconds=sum(e["seconds"] for e in epochs), machine=document["machine"], n=plain.n,
        top1=100 * top1.value, low=100 * top1.low, high=100 * top1.high, mirrored=100 * judged[True].score.top1.value,
        ece=plain.ece, classes=", ".join(header.classes),
    )  # fmt: skip
    write_atomically(packaged_file(options.name, ".md"), card.encode())


if __name__ == "__main__":
    main()
