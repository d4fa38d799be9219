"""The steps of the Dockerfile in a clean virtual environment, where there is no Docker to run it.

    python reproduce/dockerfile.py [--python python3.12]

Runs its COPY and `RUN pip` steps, then its ENTRYPOINT with its CMD and its HEALTHCHECK, and checks that PyTorch is
absent, that the server does not run as root, that /predict answers as the packaged model does here, and that SIGTERM
ends it with 0. Steps that only a container has (users) are named and left out.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE = 60  # seconds


def steps(text: str) -> list[tuple[str, str]]:
    """Instruction and argument, continued lines joined."""
    joined = re.sub(r"\\\n\s*", "", text)
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="the interpreter for the environment")
    options = parser.parse_args()
    wanted = dict(steps((ROOT / "Dockerfile").read_text(encoding="utf-8")))
    assert wanted["USER"] not in ("root", "0"), "the server must not run as root"
    with tempfile.TemporaryDirectory() as folder:
        build, home = Path(folder) / "build", Path(folder) / "venv"
        build.mkdir()
        subprocess.run([options.python, "-m", "venv", str(home)], check=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "RESLAB", "VIRTUAL_ENV"))}
        environment = kept | {"PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        for instruction, argument in steps((ROOT / "Dockerfile").read_text(encoding="utf-8")):
            if instruction == "COPY":
                copy(argument.split(), build)
            elif instruction == "RUN" and argument.startswith("pip "):
                print(f"RUN {argument}", flush=True)
                subprocess.run(argument, shell=True, cwd=build, env=environment, check=True)
            else:
                print(f"left out: {instruction} {argument}", flush=True)
        listed = subprocess.run(["pip", "list"], env=environment, capture_output=True, text=True, check=True).stdout
        present = {line.split()[0].lower() for line in listed.splitlines()[2:]}
        assert "reslab" in present and not present & {"torch", "torchvision", "onnx"}, listed
        answer = run(wanted, environment, folder)
    print(json.dumps({"packages": len(present), "torch": False, "answer": answer}))


def copy(words: list[str], build: Path) -> None:
    *sources, target = words
    for source in sources:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, build / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, build / target)


def run(wanted: dict[str, str], environment: dict[str, str], folder: str) -> dict:
    """The command of the image; what it answers to one picture."""
    command = [*json.loads(wanted["ENTRYPOINT"]), *json.loads(wanted["CMD"])]
    check = shlex.split(wanted["HEALTHCHECK"].partition("CMD ")[2])
    server = subprocess.Popen(command, cwd=folder, env=environment)
    try:
        end = time.monotonic() + PATIENCE
        while subprocess.run(check, cwd=folder, env=environment, capture_output=True).returncode:
            assert server.poll() is None and time.monotonic() < end, "the server does not become healthy"
            time.sleep(0.3)
        answer = ask(f"http://127.0.0.1:{wanted['EXPOSE']}/predict")
        server.terminate()
        assert server.wait(PATIENCE) == 0
        return answer
    finally:
        if server.poll() is None:
            server.kill()


def ask(address: str) -> dict:
    from reslab.evaluate.predict import load_model

    picture = (ROOT / "tests" / "pixels" / "golden" / "color.png").read_bytes()
    request = urllib.request.Request(address, picture, {"Content-Type": "image/png"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        row = json.load(response)["predictions"][0]
    expected = load_model("cifar10_resnet20").predict(picture)[0]
    assert row["label"] == expected.label and abs(row["probability"] - expected.probability) <= 1e-5, row
    return row


if __name__ == "__main__":
    sys.exit(main())
