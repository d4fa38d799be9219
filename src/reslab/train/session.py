"""Train one run: write its folder, keep the best weights, calibrate, evaluate."""

import csv
import dataclasses
import io
import platform
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from reslab.data.loader import Loader
from reslab.data.store import Store
from reslab.engine.base import Outputs
from reslab.engine.torch import TorchEngine, network_from_file
from reslab.errors import ResLabError
from reslab.evaluate.evaluation import Evaluation, evaluate_engine, evaluate_outputs, write_evaluation
from reslab.evaluate.outliers import MEAN_OF, mean_features
from reslab.model.file import Header, ModelFile, read_model, write_model
from reslab.model.run import (
    CONFIG_NAME,
    JOURNAL_NAME,
    LOCK_NAME,
    MODEL_NAME,
    SHEET_NAME,
    SPLIT_NAME,
    STATE_NAME,
)
from reslab.model.run_data import write_corrections
from reslab.nn.config import config_from
from reslab.nn.convolution import use_convolution
from reslab.nn.resnet import ResNet, build
from reslab.pixels.encode import encode_picture
from reslab.system import device
from reslab.system.events import Event
from reslab.system.files import open_atomically, remove_leftovers, write_atomically, write_json
from reslab.tasks.table import task_named
from reslab.train.config import AUTO, NONE, Plan
from reslab.train.inputs import Stores, augment_of, preprocess_of
from reslab.train.job import Job
from reslab.train.journal import Journal
from reslab.train.loop import Hooks, train
from reslab.train.margins import count_probe, no_margins, write_margins
from reslab.train.plan.document import decision_digest, plan_document
from reslab.train.preview import sheet
from reslab.train.probe import compute_head, set_head
from reslab.train.restart import begin_again, refuse_different_states, restart_event
from reslab.train.start import SCRATCH, copy_weights, open_start
from reslab.train.state import Progress, StateFolder, Training
from reslab.train.step.finetune import lr_factors
from reslab.train.step.loss import Objective, Teacher, class_weights, log_prior
from reslab.train.step.optim import EMA, build_optimizer
from reslab.train.step.process_group import SINGLE, ProcessGroup, job_id
from reslab.train.step.time_budget import TimeBudget
from reslab.train.validation import Validator
from reslab.train.whiten import whiten

_VALIDATION_COST, _REPORT_SECONDS = 0.48, 2.0  # a picture's way forward in float32, in steps; writing model and report
_HANDOVER = 120.0  # seconds in which a host that has lost the others, and trained in the folder, ends its process


def begin(job: Job) -> None:
    """Write what decides the run, before its first step.

    Raises:
        ResLabError: the folder already holds a run, or cannot be written.
    """
    out = job.folder
    if (out / CONFIG_NAME).exists():
        raise ResLabError(f"{out} already holds a run", f"choose another --out, or: reslab resume {out}")
    png = encode_picture(sheet(job.plan, job.stores.train))
    if job.catalog.corrections:
        write_corrections(out, job.catalog)
    with open_atomically(out / SPLIT_NAME) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["path", "label", "split", "group", "fold", "fingerprint"])
        for p in job.catalog.pictures:
            digest = job.stores.fingerprint(p) if p.split != "test" else ""
            writer.writerow((p.key, p.label, p.split, p.group or "", p.fold or "", digest))
        text.detach()  # flushes it, and leaves the file open
    write_json(out / CONFIG_NAME, plan_document(job.plan))
    write_atomically(out / SHEET_NAME, png)


def fit(job: Job) -> Evaluation | None:
    """Train, keep the best weights (a fold the last), calibrate and evaluate them on the validation split.

    Returns:
        The evaluation on the validation split; None where nothing validates.
    """
    out, plan, group = job.folder, job.plan, job.group
    handover = _HANDOVER if job.resume and job_id() else 0.0
    with lock_folder(out, handover) if group.first else nullcontext():
        device.exact()
        device.keep_memory()
        states = StateFolder(out / STATE_NAME, decision_digest(plan))
        goes_on = job.resume and states.exists()
        if group.first:
            remove_leftovers(out)
            remove_leftovers(out / STATE_NAME)
            if job.resume and not goes_on:
                begin_again(job)
        training = fresh_training(plan, None if goes_on else job.stores)
        if goes_on:
            training.margins = no_margins(plan, job.stores.train)
            kept, complaint = training.margins, states.load(training)
            if complaint:
                job.listener({"event": "warning", "text": complaint})
            if kept and not training.margins:
                text = "an earlier version began this run without the margins of its pictures: reslab review lacks them"
                job.listener({"event": "warning", "text": text})
            device.use_threads(training.progress.threads)
        refuse_different_states(group.gather(training.progress.step), states.folder)
        training.progress.threads = device.threads()
        before, training.progress.processes = training.progress.processes, group.world
        training.progress.follow(plan.timeline)
        if group.first and training.progress.best_epoch >= 0 and not (out / MODEL_NAME).is_file():
            _keep_again(job, training)
        outputs = None
        if not training.progress.finished:
            training.progress.seconds += job.spent
            outputs = _train(job, training, states, restart_event(job, training.progress.step, before))
        if group.first and training.margins:
            write_margins(out, training.margins, plan, job.stores.train)
        return group.share(_finish(job, outputs) if group.first else None)


def _keep_again(job: Job, training: Training) -> None:
    """The best weights anew where their file is gone; possible as long as they are the ones in the state."""
    path, progress = job.folder / MODEL_NAME, training.progress
    last = -(-progress.step // job.plan.steps_per_epoch) - 1
    if progress.pictures or progress.best_epoch != max(0, last):
        raise ResLabError(
            f"{path} is missing: it held the weights of epoch {progress.best_epoch + 1}, the state holds later ones",
            f"put it back, or train anew: reslab train DATA --like {job.folder}",
        )
    _keep(job, training)
    job.listener({"event": "warning", "text": f"{path} was missing and is written again from the state"})


def _train(job: Job, training: Training, states: StateFolder, restart: Event | None) -> Outputs | None:
    """The loop, with the run's folder around the first process's.

    Returns:
        What the kept weights give for the validation pictures, where that is known.
    """
    plan, group, listener = job.plan, dataclasses.replace(job.group, in_steps=True), job.listener
    loader, validator = (
        loader_of(plan, job.stores.train, group),
        Validator(plan, header_of(plan), job.stores.val, group),
    )
    hint = f"go on with: reslab resume {job.folder}"
    budget = _time_budget(plan, job.stores, training.progress.seconds)
    with _polite_stop() as asked:
        hooks = Hooks(
            emit=listener, progress=listener, save=lambda: None, validate=validator, keep_best=lambda: None,
            should_stop=asked.is_set, resume_hint=hint, group=group, budget=budget,
        )  # fmt: skip
        if not group.first:
            train(training, loader, plan, hooks)
            return None
        path = job.folder / JOURNAL_NAME
        with Journal(path, training.progress.journal) as journal:
            if journal.lacking:
                text = f"{path} lacks {journal.lacking} bytes: the curves of earlier epochs are lost"
                listener({"event": "warning", "text": text})

            def emit(event: Event) -> None:
                journal.write(event)
                listener(event)

            if restart:
                emit(restart)

            def save() -> None:
                training.progress.journal, training.progress.seconds = journal.offset(), budget.elapsed()
                states.save(training)

            def keep_best() -> None:
                _keep(job, training)
                validator.keep()

            writing = dataclasses.replace(hooks, emit=emit, save=save, keep_best=keep_best)
            train(training, loader, plan, writing)
    return validator.kept


def _time_budget(plan: Plan, stores: Stores, spent: float) -> TimeBudget:
    """The clock of a run."""
    steps = _VALIDATION_COST * len(stores.val) / plan.config.batch_size
    closing = 1 + min(MEAN_OF, len(stores.train)) / max(
        1, len(stores.val)
    )  # the last validation, and the mean features
    return TimeBudget(plan.config.minutes * 60, spent, _REPORT_SECONDS, steps, closing)


@contextmanager
def lock_folder(out: Path, patience: float = 0.0) -> Iterator[None]:
    """One run per folder. The system lets go of the lock when the process ends, however it ends.

    Args:
        patience: seconds to wait for a process that is about to end.
    """
    try:
        with FileLock(out / LOCK_NAME, timeout=patience):
            yield
    except Timeout:
        raise ResLabError(f"another process is training in {out}", "wait for it, or stop it first") from None


def fresh_training(plan: Plan, stores: Stores | None = None) -> Training:
    """A run before its first step; `stores` give whitening and the first head of a fine-tuning their pictures."""
    layout = "channels-last" if plan.config.layout == AUTO else plan.config.layout
    network = build(config_from(plan.network), plan.config.seed)
    if stores is not None and plan.config.weights != SCRATCH:
        copy_weights(open_start(plan.config.weights, plan.config.model), network, plan.classes)
    network = device.to_device(network, layout)
    anchor = _anchor(network) if plan.config.start_decay else {}
    if stores is not None:
        whiten(network, stores.train, preprocess_of(plan))
    progress = Progress()
    progress.follow(plan.timeline)
    margins = None if stores is None else no_margins(plan, stores.train)
    if stores is not None and plan.config.finetune in ("head", "gradual"):
        begun = time.perf_counter()
        probe = compute_head(network, plan, stores)
        progress.seconds = time.perf_counter() - begun
        set_head(probe, network.head)
        if plan.config.finetune == "head":  # this is the whole training
            progress.loss_sum, progress.hits, progress.pictures = probe.loss * probe.n, probe.hits, probe.n
            if margins:
                count_probe(margins, probe, plan, stores.train)
    use_convolution(network, plan.config.convolution)
    ema = EMA(network, plan.config.ema) if plan.config.ema else None
    scaler = device.scaler(device.fastest(), plan.config.precision)
    optimizer = build_optimizer(network, plan.config.optim, lr_factors(network, plan.config.finetune), anchor)
    return Training(network, optimizer, ema, scaler, progress, objective_of(plan), anchor, margins)


def _anchor(network: ResNet) -> dict[str, Tensor]:
    """The weights below the head, as they are now."""
    return {name: p.detach().clone() for name, p in network.named_parameters() if not name.startswith("head.")}


def objective_of(plan: Plan) -> Objective:
    """What a plan minimises."""
    config, balance = plan.config, plan.config.balance
    weights = torch.from_numpy(class_weights(plan.counts)) if balance == "weights" else None
    prior = torch.from_numpy(log_prior(plan.counts)) if balance == "logit-adjust" else None
    teacher = None if config.teacher == NONE else _teacher(plan)
    return Objective(config.label_smoothing, plan.task, weights, prior, teacher, config.logit_norm)


def _teacher(plan: Plan) -> Teacher:
    config = plan.config
    start = open_start(config.teacher, AUTO)
    if start.digest != plan.teacher_digest:
        raise ResLabError(
            f"the teacher {config.teacher} was changed since this run began", "put it back, or train anew"
        )
    network = device.to_device(start.network, config.layout).eval().requires_grad_(False)
    columns = torch.tensor([start.classes.index(label) for label in plan.classes])
    return Teacher(network, columns, config.teacher_share, config.teacher_temperature, config.precision)


def loader_of(plan: Plan, store: Store, group: ProcessGroup = SINGLE) -> Loader:
    """The training batches, or this process's part of them."""
    labels = task_named(plan.task).targets(store.pictures, plan.classes, "train")
    part = (group.rank, group.world)
    evenly = plan.config.balance == "sampler"
    loader = Loader(store, labels, len(plan.classes), augment_of(plan), plan.config.batch_size, part, evenly)
    smallest = len(store) // loader.steps
    if group.world > 1 and smallest < 2 * group.world:
        raise ResLabError(
            f"batches of {smallest} pictures are too few for {group.world} processes: batch norm needs two each",
            f"use --batch-size {2 * group.world} or more, or fewer processes",
        )
    return loader


def header_of(plan: Plan) -> Header:
    """The header of a model file before anything was calibrated or scored."""
    config = plan.config
    training = {"recipe": config.recipe, "seed": config.seed, "split_seed": config.split_seed, "epochs": config.epochs}
    training |= {
        "val": config.val,
        "group_by": config.group_by,
        "folds": config.folds,
        "fold": config.fold,
        "data": Path(config.data).name,
        "balance": config.balance,
        "weights": Path(config.weights).name,
        "weights_licence": plan.weights_licence,
    }
    training |= {"augment": list(plan.changes), "versions": _versions()}
    thresholds = task_named(plan.task).initial_thresholds(len(plan.classes))
    return Header(
        plan.network, plan.classes, preprocess_of(plan), training=training, task=plan.task, thresholds=thresholds
    )  # fmt: skip


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("reslab", "torch", "numpy", "pillow")} | {
        "python": platform.python_version()
    }


def _keep(job: Job, training: Training) -> None:
    """Write the current weights as the run's model."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in training.weights().items()}
    write_model(job.folder / MODEL_NAME, arrays, header_of(job.plan), job.stores.train.fingerprints())


def _finish(job: Job, outputs: Outputs | None) -> Evaluation | None:
    """Find the mean of the features, evaluate the kept weights on the validation pictures, and calibrate them.

    Args:
        outputs: what they give for these pictures, where that is known.
    """
    train, store, path = job.stores.train, job.stores.val, job.folder / MODEL_NAME
    model = read_model(path)
    engine = TorchEngine(network_from_file(model, path), model.header, model.sha256, model.seen)
    mean = mean_features(engine, train.pictures, lambda picture: train.read(picture)[0])
    engine.header = dataclasses.replace(model.header, feature_mean=mean)
    model = dataclasses.replace(model, header=engine.header)
    if not len(store):
        write_model(path, model.tensors, model.header, [row.tobytes() for row in model.seen])
        return None
    if outputs is None:
        evaluation = evaluate_engine(engine, store.pictures, "val", source=store.read)
    else:
        evaluation = evaluate_outputs(engine, store.pictures, "val", outputs, store.fingerprints())
    return calibrate_and_save(path, model, evaluation, chose_the_model=not job.plan.config.folds)


def calibrate_and_save(path: Path, model: ModelFile, evaluation: Evaluation, chose_the_model: bool) -> Evaluation:
    """Fit temperature and thresholds on these answers, write them and the score into the model file, keep the answers.

    Args:
        path: the file that `model` was read from, in its run's folder.
    """
    evaluation = evaluation.calibrate()
    header = evaluation.fill_header(model.header, chose_the_model)
    digest = write_model(path, model.tensors, header, [row.tobytes() for row in model.seen])
    evaluation = dataclasses.replace(evaluation, model=digest)
    write_evaluation(path.parent, evaluation)
    return evaluation


@contextmanager
def _polite_stop() -> Iterator[threading.Event]:
    """While inside, Ctrl-C and SIGTERM ask for a stop after the current step; a second Ctrl-C stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
