"""The templates for clusters: the batch scripts run here with stand-ins for the cluster's programs, every command of ours
parses, and each tool that is installed checks its own files."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys

import httpx
import pytest

from reslab.cli.app import build_app
from reslab.serve.front import MONITORING_ENDPOINTS
from reslab.serve.limits import Limits
from reslab.serve.metrics import Metrics
from tests.examples.scripts import ROOT
from tests.serve.door import PATIENCE, wait_for
from tests.serve.test_process import PICTURE, process

yaml = pytest.importorskip("yaml")
FOLDER = ROOT / "examples" / "cluster"
RECORD = '#!/bin/sh\nfor word in "$@"; do printf "%s\\0" "$word"; done >> "$RECORD"\nprintf "\\n" >> "$RECORD"\n'
DOUBLES = {
    "reslab": RECORD,
    "torchrun": RECORD,
    "srun": '#!/bin/sh\nexec "$@"\n',
    "scontrol": '#!/bin/sh\nprintf "node%s\\n" 7 8\n',
}
SLURM = {
    "SLURM_JOB_NODELIST": "node[7-8]", "SLURM_NNODES": "2", "SLURM_GPUS_PER_NODE": "4", "SLURM_JOB_ID": "99",
    "SLURM_CPUS_PER_TASK": "8",
}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """Run a script with the stand-ins: the commands that it gives."""
    if sys.platform == "win32":
        pytest.skip("batch scripts are for bash")
    for name, text in DOUBLES.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)

    def commands(*words, **environment):
        record = tmp_path / "record"
        record.write_text("")
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        given = os.environ | SLURM | environment | {"PATH": path, "RECORD": str(record)}
        subprocess.run(["bash", *words], env=given, cwd=tmp_path, check=True)
        return [line.split("\0")[:-1] for line in record.read_text().splitlines()]

    return commands


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answers(port):
    """Whether something listens there."""
    with socket.socket() as wire:
        return wire.connect_ex(("127.0.0.1", port)) == 0


def parsed(words):
    """The verb and its arguments; raises what a person would read."""
    verb, found, _ = build_app().parse_args(words, exit_on_error=False, print_error=False)
    return verb.__name__, found.arguments


def documents(name):
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


def entry_point():
    line = next(x for x in (ROOT / "Dockerfile").read_text().splitlines() if x.startswith("ENTRYPOINT"))
    return re.findall(r'"([^"]*)"', line)[1:]


def container(kind):
    (found,) = (d for d in documents("kubernetes.yaml") if d["kind"] == kind)
    return found["spec"]["template"]["spec"], found["spec"]["template"]["spec"]["containers"][0]


def test_a_training_on_slurm_begins_and_goes_on(run, tmp_path):
    words = [str(FOLDER / "train.sbatch"), "/shared/pictures", "runs/a"]
    (first,) = run(*words)
    split = first.index("-m")
    assert first[:split] == shlex.split(
        "--nnodes 2 --nproc-per-node 4 --max-restarts 3 --rdzv-backend c10d --rdzv-id 99 --rdzv-endpoint node7:29500"
    )
    verb, given = parsed(first[split + 2 :])
    assert verb == "train" and given["data"] == "/shared/pictures" and given["minutes"] == 230
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (again,) = run(*words)
    assert again[split + 1 :] == ["reslab", "resume", "runs/a"] and parsed(again[split + 2 :])[0] == "resume"


def test_an_array_answers_for_a_share_each(run):
    words = [str(FOLDER / "predict.sbatch"), "model.onnx", "shards of mine", "answers"]
    for task in range(3):
        ((*commands,),) = run(*words, SLURM_ARRAY_TASK_COUNT="3", SLURM_ARRAY_TASK_ID=str(task))
        verb, given = parsed(commands)
        assert (verb, given["model"], given["paths"]) == ("predict", "model.onnx", ("shards of mine",))
        assert str(given["bulk"].parquet) == "answers" and given["bulk"].where.share == f"{task}/3"


def test_trainings_elsewhere_begin_and_go_on(run, tmp_path):
    (sky,) = documents("sky.yaml")
    _, job = container("Job")
    scripts = {
        "sky": sky["run"].replace("/runs", "runs"),
        "kubernetes": job["args"][0].replace("/models", "runs"),
    }
    data = {"sky": sky["envs"]["DATA"], "kubernetes": "/pictures"}
    for kind, script in scripts.items():
        environment = {"DATA": sky["envs"]["DATA"], "RUN": "runs/flowers"}
        (words,) = run("-c", script, **environment)
        verb, given = parsed(words)
        assert verb == "train" and given["data"] == data[kind] and str(given["out"]) == "runs/flowers"
        (tmp_path / "runs" / "flowers").mkdir(parents=True)
        assert [parsed(words)[0] for words in run("-c", script, **environment)] == ["resume"]
        (tmp_path / "runs" / "flowers").rmdir()


def test_servers_are_started_asked_and_ended_as_they_understand():
    pod, server = container("Deployment")
    (compose,) = documents("compose.yaml")
    for words in (server["args"], *(compose["services"][name]["command"] for name in ("one", "two"))):
        verb, given = parsed([*entry_point(), *words])
        assert verb == "serve" and given["server"].processes > 1 and given["server"].port == 8000
    probes = {server[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert probes == {"/readyz", "/livez"} <= set(MONITORING_ENDPOINTS)
    drain = 2 * Limits().timeout
    assert pod["terminationGracePeriodSeconds"] > drain + int(server["lifecycle"]["preStop"]["exec"]["command"][1])
    assert float(compose["services"]["one"]["stop_grace_period"].removesuffix("s")) > drain


def test_the_autoscaler_reads_a_metric_that_there_is():
    (scaler,) = (d for d in documents("kubernetes.yaml") if d["kind"] == "HorizontalPodAutoscaler")
    name = scaler["spec"]["metrics"][0]["pods"]["metric"]["name"]
    assert f"\n{name} 0.0\n" in Metrics(lambda: 0, lambda: 0).text().decode()


def test_nginx_knows_the_servers_of_compose():
    (compose,) = documents("compose.yaml")
    text = (FOLDER / "nginx.conf").read_text()
    assert {name for name in compose["services"] if f"server {name}:8000 " in text} == {"one", "two"}
    assert f"client_max_body_size {Limits().max_bytes // 2**20}m;" in text


def test_shellcheck_has_nothing_to_say():
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", *FOLDER.glob("*.sbatch")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_kubernetes_knows_every_field():
    validator = pytest.importorskip("kubernetes_validate")
    for document in documents("kubernetes.yaml"):
        validator.validate(document, validator.latest_version(), strict=True)


def test_nginx_reads_its_file(tmp_path):
    if shutil.which("nginx"):
        (tmp_path / "nginx.conf").write_text(in_front_of((1, 2), 1, tmp_path))
        words = ["nginx", "-t", "-p", tmp_path, "-e", tmp_path / "error.log", "-c", tmp_path / "nginx.conf"]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return
    crossplane = pytest.importorskip("crossplane", reason="neither nginx nor crossplane is installed")
    assert crossplane.parse(str(FOLDER / "nginx.conf"))["errors"] == []


def in_front_of(ports, port, folder):
    """`nginx.conf` for servers on this machine, and for nginx without a system's folders."""
    text = (FOLDER / "nginx.conf").read_text().replace("listen 80;", f"listen 127.0.0.1:{port};")
    for name, each in zip(("one", "two"), ports, strict=True):
        text = text.replace(f"server {name}:8000", f"server 127.0.0.1:{each}")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    own = "\n".join(f"  {kind}_temp_path {folder / kind};" for kind in kinds)
    return f"daemon off; pid {folder / 'pid'};\n" + text.replace("http {", f"http {{\n  access_log off;\n{own}", 1)


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_two_servers_behind_nginx_of_which_one_is_killed(tmp_path):
    """What compose.yaml starts, without containers: each request is answered, also while one server dies and when it is gone."""
    port = free_port()
    with process() as (first, one), process() as (_, two):
        ports = [httpx.URL(address).port for address in (one, two)]
        (tmp_path / "nginx.conf").write_text(in_front_of(ports, port, tmp_path))
        words = ["nginx", "-p", tmp_path, "-e", tmp_path / "error.log", "-c", tmp_path / "nginx.conf"]
        with (
            subprocess.Popen(words) as nginx,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client,
        ):
            try:
                wait_for(lambda: answers(port))
                expected = httpx.post(f"{one}/predict", content=PICTURE).json()["predictions"]
                for number in range(40):
                    if number == 20:
                        first.kill()
                    answer = client.post("/predict", content=PICTURE)
                    assert answer.status_code == 200 and answer.json()["predictions"] == expected
                assert client.post("/predict", content=bytes(Limits().max_bytes + 1)).status_code == 413
            finally:
                nginx.terminate()


def test_skypilot_reads_its_file():
    sky = pytest.importorskip("sky")
    task = sky.Task.from_yaml(str(FOLDER / "sky.yaml"))
    assert all(resources.use_spot for resources in task.resources)
