"""`demo`, `train`, `resume`, `runs`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from reslab.cli import show
from reslab.cli.app import STARTED
from reslab.cli.fields import config_of
from reslab.cli.options import RUN_OPTIONS, RunOptions, outside_data
from reslab.cli.progress import RunListener
from reslab.cli.scores import SCORES
from reslab.errors import ResLabError
from reslab.model.run import REPORT_NAME, RUNS, is_ensemble, read_config, read_split
from reslab.run.list import list_runs
from reslab.system.events import Event, Listener
from reslab.tasks.table import TASKS
from reslab.train.config import TrainConfig
from reslab.train.track import tensorboard_listener

if TYPE_CHECKING:
    from reslab.run.train import Run


def train(
    data: str,
    *,
    minutes: float | None = None,
    options: RunOptions = RUN_OPTIONS,
    out: Path | None = None,
    track: Annotated[bool, Parameter(negative="")] = False,
    ray: str | None = None,
    processes: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Check the data, train, calibrate, score on the validation split, and write a report.

    Args:
        data: A folder of class folders (with or without train/ val/ test/), a CSV/TSV, shards, Parquet, a zip, or a name.
        minutes: Fit the run into this many minutes, instead of a number of epochs.
        out: The run folder; runs/DATE-MODEL-DATA by default.
        track: Also write TensorBoard files into the run folder.
        ray: Train in processes of a Ray cluster: ray://HOST:PORT, or auto for the one this machine is part of.
        processes: With --ray: how many, each with one core, or one GPU where the cluster has any.
        json: Print the validation score as JSON.
    """
    from reslab.run.train import begun_by_torchrun
    from reslab.run.train import resume as resume_run
    from reslab.run.train import train as train_run

    config, user = config_of(data, options)
    if minutes is not None:
        config, user = _within(minutes, config, user)
    outside_data(out, data)
    listener = RunListener()
    told = _with_tracking(listener, track)
    with show.bar() as listener.bar:
        if ray is not None or processes is not None:
            from reslab.run.on_ray import train_on_ray

            run = train_on_ray(*_ray_options(ray, processes, out), config, user, told, STARTED.get())
        elif out and begun_by_torchrun(out):  # which starts all processes again when one has failed, or a host has come
            run = resume_run(out, None, told)
        else:
            run = train_run(config, out, user, told, STARTED.get())
    _say_score(run, json)
    _next_steps(run, data)


def resume(
    run: Path,
    *,
    epochs: int | None = None,
    data: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Continue a run exactly where its last saved state left it.

    Args:
        run: The run folder.
        epochs: Make the run longer or shorter; the learning rate then follows the schedule of a run of that length.
        data: Where the pictures are now, if they have moved; they must be the same ones.
        json: Print the validation score as JSON.
    """
    from reslab.run.train import resume as resume_run

    listener = RunListener()
    with show.bar() as listener.bar:
        finished = resume_run(run, epochs, listener, data)
    _say_score(finished, json)


def runs(folder: Path = RUNS, *, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """List the runs in a folder: score with interval, and time.

    Args:
        folder: The folder that holds the runs.
        json: Print JSON.
    """
    rows = list_runs(folder)
    if json:
        show.print_json({"schema": 1, "runs": rows})
        return
    if not rows:
        show.people.print(f"no runs in {folder} yet; train one: reslab train DATA")
        return
    made = show.table("run", "model", "data", "epochs", "score", "on", "time", right=(3, 4, 6))
    for row in rows:
        if row["error"]:
            made.add_row(row["run"], "-", "-", "-", row["error"], "-", "-")
            continue
        score = next((SCORES[t.name].headline(share) for t in TASKS.values() if (share := row.get(t.headline))), "-")
        on = f"{row['split']}, n = {row['n']:,}" if row["split"] else "-"
        data = Path(row["data"]).name
        made.add_row(row["run"], row["model"], data, row["epochs"], score, on, show.duration(row["seconds"]))
    show.results.print(made)


def demo(*, out: Path | None = None, epochs: int | None = None) -> None:
    """Train on scikit-learn's handwritten digits, score on unseen ones, predict one, and write the report.

    Args:
        out: The run folder; runs/DATE-resnet20-digits by default.
        epochs: Fewer epochs are faster.
    """
    from reslab.run.demo import demo as run_demo

    listener = RunListener()
    with show.bar() as listener.bar:
        result = run_demo(out, epochs, listener)
    say = show.say
    document = result.evaluation.document()
    say()
    say(f"test score   {show.interval(document['top1'], document['n'])}; never seen in training")
    say(f"             always answering one class would score {show.percent(document['majority_baseline'])}")
    say(f"prediction   {result.prediction.path}: {result.prediction.label}, {result.prediction.probability:.3f}")
    say(f"model        {result.model}")
    say(f"report       {result.report}")
    say()
    say("Try next:")
    say(f"  reslab predict {result.model} {result.prediction.path}")
    say(f"  reslab export {result.model} --out digits.onnx")
    say("  reslab serve digits.onnx                  a web page and an HTTP API: http://127.0.0.1:8000")
    say("  reslab check path/to/your/pictures        one folder per class")
    say("  reslab train path/to/your/pictures")
    show.open_page(result.report)


def _ray_options(ray: str | None, processes: int | None, out: Path | None) -> tuple[str, int, Path]:
    """What a training on a Ray cluster needs, which a person must say."""
    if ray is None or processes is None:
        raise ResLabError("--ray and --processes go together", "--ray ray://HOST:10001 --processes 4")
    if out is None:
        raise ResLabError("--ray needs --out", "name the run folder, on storage that all nodes share")
    return ray, processes, out


def _within(minutes: float, config: TrainConfig, user: set[str]) -> tuple[TrainConfig, set[str]]:
    """The config with a time limit."""
    if "epochs" in user:
        raise ResLabError("--epochs and --minutes contradict each other", "give one of them")
    if minutes <= 0:
        raise ResLabError(f"--minutes {minutes:g} leaves no time", "give at least 0.1")
    return dataclasses.replace(config, minutes=minutes, course=()), user | {"minutes"}


def _with_tracking(listener: Listener, track: bool) -> Listener:
    if not track:
        return listener
    board = tensorboard_listener()

    def both(event: Event) -> None:
        listener(event)
        board(event)

    return both


def _say_score(run: "Run", json: bool) -> None:
    if run.evaluation is None:
        show.people.print("this run has no validation pictures; score it on pictures it has not seen: reslab eval")
        return
    document = run.evaluation.document()
    if json:
        show.print_json(document)
        return
    show.say()
    config = read_config(run.folder)["config"]
    SCORES[document["task"]].trained(document, fold=bool(config.get("fold")))
    if is_ensemble(config):
        say = "the mean of their logits; expect about this score, or a little better. The temperature is a single one's"
        show.say(f"ensemble     of these {config['folds']} networks: {say}")


def _next_steps(run: "Run", data: str) -> None:
    say = show.people.print
    say(f"model        {run.model}", soft_wrap=True)
    say(f"report       {run.folder / REPORT_NAME}", soft_wrap=True)
    unseen = any(row.split in ("val", "test") for row in read_split(run.folder) or [])
    nxt = f"reslab eval {run.folder} {data}" if unseen else f"reslab predict {run.folder} path/to/new/pictures"
    say(f"next: {nxt}", soft_wrap=True)
