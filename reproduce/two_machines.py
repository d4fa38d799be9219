"""Two network namespaces with their own addresses, as two machines: the same model as two processes on one machine.

    sudo python reproduce/two_machines.py [--epochs 3]

Needs Linux, root and iproute2. Each namespace gets one end of a virtual cable and trains one process of the same run
(torchrun --nnodes 2, gloo); the run folder is shared, as on a cluster. The model file must have the same bytes as that of
`torchrun --nproc-per-node 2`, and its validation scores must be what one process computes from that file.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

NAMES, ADDRESSES = ("reslab-a", "reslab-b"), ("10.77.0.1", "10.77.0.2")
PORT = "29517"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@contextmanager
def two_machines():
    """Two namespaces, one cable."""
    ends = ("reslab-veth0", "reslab-veth1")
    try:
        for name in NAMES:
            ip("netns", "add", name)
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for name, end, address in zip(NAMES, ends, ADDRESSES, strict=True):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "addr", "add", f"{address}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield dict(zip(NAMES, ends, strict=True))
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "del", name], check=False)


def training(out: Path, epochs: int) -> list[str]:
    return ["-m", "reslab", "train", "digits", "--model", "resnet20", "--epochs", str(epochs), "--out", str(out)]


def on_one_machine(out: Path, epochs: int) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    subprocess.run([*launcher, *training(out, epochs)], check=True, stdout=subprocess.DEVNULL)


def on_two_machines(out: Path, epochs: int) -> None:
    with two_machines() as ends:
        processes = []
        for rank, (name, end) in enumerate(ends.items()):
            launcher = [
                "ip", "netns", "exec", name, sys.executable, "-m", "torch.distributed.run", "--nnodes", "2",
                "--nproc-per-node", "1", "--node-rank", str(rank), "--master-addr", ADDRESSES[0], "--master-port", PORT,
            ]  # fmt: skip
            # one thread each, as torchrun sets for two processes on one machine: sums depend on it in the last digit
            where = os.environ | {"GLOO_SOCKET_IFNAME": end, "OMP_NUM_THREADS": "1"}
            processes.append(
                subprocess.Popen([*launcher, *training(out, epochs)], env=where, stdout=subprocess.DEVNULL)
            )
        codes = [process.wait(timeout=1800) for process in processes]
    assert codes == [0, 0], codes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        one, two = Path(folder) / "one", Path(folder) / "two"
        on_one_machine(one, options.epochs)
        on_two_machines(two, options.epochs)
        digests = {run.name: hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest() for run in (one, two)}
        words = [sys.executable, "-m", "reslab", "eval", str(two), "digits", "--split", "val", "--json"]
        alone = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
        written = json.loads((two / "evaluation.json").read_text())
        same = {
            "model": digests["one"] == digests["two"],
            "scores": written["top1"] == alone["top1"] and written["nll"] == alone["nll"],
        }
        print(json.dumps({"sha256": digests, "same": same}, indent=1))
        sys.exit(not all(same.values()))


if __name__ == "__main__":
    main()
