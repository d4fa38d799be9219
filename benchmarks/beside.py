"""What a training keeps of its speed beside one other busy program, for settings of PyTorch's threads.

    python benchmarks/beside.py [--settings "spins 10000" passive ...] [--rounds 5] [--seconds 20] [--batch 128]

For a quiet machine of two cores. A setting is the environment of a process before it imports torch: all of them are read when
libgomp, which torch ships, is loaded, so `reslab` could set them itself (`__main__.py` sets GOMP_SPINCOUNT=10000 today).
Each measurement is a process of its own that trains a network at 32 px on random pictures, without reading files, for `--seconds`
after three steps to warm up. `2 processes` are two of one thread each, which add their gradients once a step as under torchrun.

In each round every setting is measured idle and beside `while True: pass`, one after the other, so that a machine whose speed
drifts is fair to all. Printed: images/s, median and range, idle and beside; beside over idle; and both over the idle median of
the first setting. The goal: beside >= 0.45 of it, idle = 1.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time

SETTINGS: dict[str, dict[str, str]] = {
    "spins 10000": {"GOMP_SPINCOUNT": "10000"},
    "spins 3000": {"GOMP_SPINCOUNT": "3000"},
    "spins 1000": {"GOMP_SPINCOUNT": "1000"},
    "spins 100": {"GOMP_SPINCOUNT": "100"},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "libgomp's default": {},
    "3 threads": {"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "PASSIVE"},
    "4 threads": {"OMP_NUM_THREADS": "4", "OMP_WAIT_POLICY": "PASSIVE"},
    "bound": {"OMP_PROC_BIND": "true", "OMP_WAIT_POLICY": "PASSIVE"},
    "1 thread": {"OMP_NUM_THREADS": "1"},
    "2 processes": {"OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"},
}
"""Name -> environment. More threads than cores are more runnable tasks, and so a larger share beside one other program."""

_OURS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "OMP_PROC_BIND", "RANK", "WORLD_SIZE")
_WARM_STEPS = 3


def work(model: str, batch: int, seconds: float) -> None:
    """Train in this process, or as one of several, and print the images of all of them per second."""
    import torch
    import torch.nn.functional as F

    from reslab.nn.layers import to_images
    from reslab.nn.zoo import build_named
    from reslab.system import device
    from reslab.train.config import TrainConfig
    from reslab.train.step.optim import build_optimizer
    from reslab.train.step.process_group import join

    group = join()
    device.exact()
    device.keep_memory()
    network = device.to_device(build_named(model, num_classes=10))
    optimizer = build_optimizer(network, TrainConfig().optim)
    generator = torch.Generator().manual_seed(group.rank)
    pixels = torch.randint(0, 256, (batch // group.world, 32, 32, 3), dtype=torch.uint8, generator=generator)
    labels = torch.arange(len(pixels)) % 10
    steps, begin = -_WARM_STEPS, time.perf_counter()
    # All processes stop at the same step.
    while not group.any(steps > 0 and time.perf_counter() - begin > seconds):
        if steps == 0:
            begin = time.perf_counter()
        optimizer.zero_grad()
        logits = network(device.to_layout(to_images(pixels), "channels-last"))
        F.cross_entropy(logits, labels).backward()
        group.add([p.grad for p in network.parameters() if p.grad is not None])
        optimizer.step()
        steps += 1
    if group.first:
        print(steps * len(pixels) * group.world / (time.perf_counter() - begin))


def images_per_second(setting: dict[str, str], options: argparse.Namespace, busy: bool) -> float:
    """One measurement, idle or beside a busy loop."""
    environment = {name: value for name, value in os.environ.items() if name not in _OURS} | setting
    command = [sys.executable, __file__, "--work", "--model", options.model]
    command += ["--batch", str(options.batch), "--seconds", str(options.seconds)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world = int(setting.get("WORLD_SIZE", "1"))
    places = [{"RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port} for rank in range(world)]
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        processes = [
            subprocess.Popen(command, env=environment | (place if world > 1 else {}), stdout=subprocess.PIPE, text=True)
            for place in places
        ]
        said = [process.communicate()[0] for process in processes]
    finally:
        if other:
            other.kill()
            other.wait()
    return float(said[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.model, options.batch, options.seconds)
        return
    found: dict[tuple[str, bool], list[float]] = {}
    for number in range(options.rounds):
        for name in options.settings:
            for busy in (False, True):
                speed = images_per_second(SETTINGS[name], options, busy)
                found.setdefault((name, busy), []).append(speed)
                where = "beside" if busy else "idle"
                print(f"round {number + 1}: {name}, {where}: {speed:.0f} images/s", file=sys.stderr, flush=True)
    first = statistics.median(found[options.settings[0], False])
    print(
        "setting             idle (range)            beside (range)          beside/idle   both over the first one's idle"
    )
    for name in options.settings:
        medians = [statistics.median(found[name, busy]) for busy in (False, True)]
        shown = [
            f"{middle:6.0f} ({min(found[name, busy]):.0f} to {max(found[name, busy]):.0f})"
            for middle, busy in zip(medians, (False, True), strict=True)
        ]
        print(
            f"{name:18}  {shown[0]:22}  {shown[1]:22}  {medians[1] / medians[0]:11.2f}   {medians[0] / first:.2f}, "
            f"{medians[1] / first:.2f}"
        )


if __name__ == "__main__":
    main()
