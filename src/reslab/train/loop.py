"""The loop, top to bottom: batch, rate, loss, gradient, step; once in a while a line, a state, a validation."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.data.loader import Batch, Loader
from reslab.errors import ResLabError
from reslab.nn.layers import to_images
from reslab.system import device
from reslab.system.events import Event
from reslab.tasks.task import Validation
from reslab.train.config import Plan
from reslab.train.schedule import rate
from reslab.train.state import Training
from reslab.train.step.finetune import unfreeze
from reslab.train.step.margin import margins_of
from reslab.train.step.optim import set_rate
from reslab.train.step.process_group import SINGLE, ProcessGroup
from reslab.train.step.time_budget import TimeBudget

_SMALLER = 0.75  # side of the pictures while they are to grow
_OWN = 0.5  # a blended picture counts for its own label alone where that has more than this share


class Interrupted(ResLabError):
    """The person (or the system) asked to stop; the state is saved."""

    exit_code = 130


class Diverged(ResLabError):
    """The loss or the weights are no longer numbers."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the loop asks of the run around it. It knows no file and no terminal."""

    emit: Callable[[Event], None]
    """Record an event."""
    progress: Callable[[Event], None]
    """Show an event that need not be recorded."""
    save: Callable[[], None]
    """Keep the state."""
    validate: Callable[[dict[str, Tensor]], Validation | None]
    """Judge weights; None where nothing validates."""
    keep_best: Callable[[], None]
    """Keep the current weights as the model."""
    should_stop: Callable[[], bool]
    resume_hint: str
    group: ProcessGroup
    budget: TimeBudget
    """Keeps the run within its time, where it has one."""


def train(training: Training, loader: Loader, plan: Plan, hooks: Hooks) -> None:
    """Train from wherever `training` stands to the end of its timeline.

    Raises:
        Diverged: the loss is no longer a number; the message gives step, rate and the last good model.
        Interrupted: `should_stop` said so; the state has been saved.
    """
    progress = training.progress
    if not progress.timeline.total:  # a head that was computed
        _end_epoch(training, plan, hooks, 0, 0.0, progress.seconds)
    while progress.step < progress.timeline.total:
        epoch = progress.step // plan.steps_per_epoch
        if _out_of_patience(training, plan, epoch):
            hooks.emit({"event": "early stop", "epoch": epoch, "best_epoch": progress.best_epoch + 1})
            break
        _epoch(training, loader, plan, hooks, epoch)
    progress.finished = True
    hooks.save()


def _epoch(training: Training, loader: Loader, plan: Plan, hooks: Hooks, epoch: int) -> None:
    """One pass over the training pictures, or what is left of it; the run may end within it."""
    config, progress, steps = plan.config, training.progress, plan.steps_per_epoch
    begin, shown, last_save = time.perf_counter(), progress.pictures, time.monotonic()
    for batch in loader.batches(epoch, progress.step % steps, config.workers):
        done = progress.timeline.done(progress.step)
        lr = rate(config.schedule, config.optim.lr, done)
        loss = update(training, batch, plan, lr, hooks.group, done)
        speed = (progress.pictures - shown) / (time.perf_counter() - begin)
        in_epoch = (progress.step - 1) % steps + 1
        epochs = -(-progress.timeline.total // steps)
        line = {"event": "step", "epoch": epoch + 1, "epochs": epochs, "step": in_epoch, "steps": steps, "loss": loss}
        line |= {"lr": lr, "images_per_second": round(speed, 1), "log_every": config.log_every}
        (hooks.emit if in_epoch % config.log_every == 0 else hooks.progress)(line)
        _keep_time(training, hooks, steps)
        ends = in_epoch == steps or progress.step == progress.timeline.total
        if ends:
            with hooks.budget.pause(validating=True):
                _end_epoch(training, plan, hooks, epoch, lr, time.perf_counter() - begin)
        stop = hooks.group.any(hooks.should_stop())
        if stop or ends or time.monotonic() - last_save > config.save_seconds:
            with hooks.budget.pause():
                hooks.save()
            last_save = time.monotonic()
        if stop:
            raise Interrupted(f"stopped in epoch {epoch + 1}, step {in_epoch}; the state is saved", hooks.resume_hint)
        if ends:
            return


def _keep_time(training: Training, hooks: Hooks, steps: int) -> None:
    """Where a run has a time to keep: change its timeline if it would end too early or too late."""
    if not hooks.budget.seconds:
        return
    progress = training.progress
    first = hooks.group.first
    timeline = hooks.group.share(hooks.budget.replan(progress.step, progress.timeline, steps) if first else None)
    if timeline != progress.timeline:
        knots = timeline.breakpoints
        hooks.emit({"event": "replan", "step": progress.step, "total_steps": timeline.total, "knots": knots})
        progress.timeline = timeline


def update(
    training: Training, batch: Batch, plan: Plan, lr: float, group: ProcessGroup = SINGLE, done: float = 1.0
) -> float:
    """One update of the weights; gives the loss before it.

    With several processes each computes the gradient of its part of the batch; the sum is the gradient of the whole.
    Norms see their own part in training, as everywhere; their running statistics are averaged. A batch that is divided
    (`accumulate`) is treated alike, one part after the other.

    Args:
        done: share of the run that is behind, for what grows with it.
    """
    network, progress, config = training.network, training.progress, plan.config
    unfreeze(network, config.finetune, done)
    set_rate(training.optimizer, lr)
    training.optimizer.zero_grad()
    _reseed(training, plan, group)
    parts = [_gradient(training, part, plan, done) for part in batch.parts(config.accumulate)]
    tally, margins = torch.stack([tally for tally, _ in parts]).sum(0), _of_whole(batch, [part for _, part in parts])
    _agree(network, [tally, margins], group)
    training.scaler.unscale_(training.optimizer)
    _pull(training, config.start_decay)
    if config.optim.clip_norm:
        nn.utils.clip_grad_norm_(network.parameters(), config.optim.clip_norm)
    value, hits = tally.tolist()
    if not math.isfinite(value):
        raise _diverged(training, plan, lr, f"the loss became {value}")
    training.scaler.step(training.optimizer)
    training.scaler.update()
    if training.ema:
        training.ema.update(network, progress.step)
    if training.margins and (batch.mix is None or batch.mix.share > _OWN):
        training.margins.add(batch.indices, margins.cpu().numpy())
    progress.step += 1
    progress.loss_sum += value * batch.total
    progress.hits += int(hits)
    progress.pictures += batch.total
    return value


def _pull(training: Training, strength: float) -> None:
    """Add the gradient of `strength / 2 * |w - anchor|^2`."""
    if not strength:
        return
    for name, parameter in training.network.named_parameters():
        if parameter.grad is not None and name in training.anchor:
            parameter.grad.add_(parameter.detach() - training.anchor[name], alpha=strength)


def _reseed(training: Training, plan: Plan, group: ProcessGroup) -> None:
    """What stochastic depth skips is decided by seed, step and rank alone, so a resumed run skips the same."""
    if training.network.config.drop_path:
        words = np.random.SeedSequence((plan.config.seed, training.progress.step, group.rank)).generate_state(1)
        torch.manual_seed(int(words[0]))


def _gradient(training: Training, batch: Batch, plan: Plan, done: float) -> tuple[Tensor, Tensor]:
    """Add the gradient of one part of a batch; gives its loss, as a share of the whole batch's, with its right answers, and
    the margins of its pictures."""
    network, config = training.network, plan.config
    weight = network.head.weight
    images, targets = to_images(batch.pixels.to(weight.device)).to(weight.dtype), batch.targets.to(weight)
    if batch.mix and batch.partners is not None:
        images = batch.mix.images(images, to_images(batch.partners.to(weight.device)).to(weight.dtype))
    if done < config.grow:
        images = F.interpolate(images, scale_factor=_SMALLER, mode="bilinear", antialias=True)
    images = device.to_layout(images, config.layout)
    with device.mixed_precision(weight.device, config.precision):
        logits = network(images).to(weight.dtype)
    loss = training.objective(logits, targets, images) / batch.total
    training.scaler.scale(loss).backward()
    hits = training.objective.hits(logits.detach(), targets)
    return torch.stack([loss.detach(), hits.to(loss.dtype)]), margins_of(logits.detach(), targets)


def _of_whole(batch: Batch, parts: list[Tensor]) -> Tensor:
    """The margins of a whole step, those of other processes still zero."""
    mine = torch.cat(parts, 1)
    return F.pad(mine, (batch.first, batch.total - batch.first - mine.shape[1]))


def _agree(network: nn.Module, tallies: list[Tensor], group: ProcessGroup) -> None:
    """Sum gradients and tallies over the processes, and average the norms' running statistics."""
    if group.world == 1:
        return
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    statistics = [s for norm in norms for s in (norm.running_mean, norm.running_var) if s is not None]
    for buffer in statistics:
        buffer.div_(group.world)
    group.add([p.grad for p in network.parameters() if p.grad is not None] + statistics + tallies)


def _end_epoch(training: Training, plan: Plan, hooks: Hooks, epoch: int, lr: float, seconds: float) -> None:
    """Validate, keep the best (where the validation pictures may choose), write the line, and start counting anew."""
    progress = training.progress
    if not all(bool(torch.isfinite(t).all()) for t in training.weights().values() if t.is_floating_point()):
        raise _diverged(training, plan, lr, "the weights are no longer finite")
    device.synchronize(next(training.network.parameters()).device)
    result = hooks.validate(training.weights())
    epochs = max(1, -(-progress.timeline.total // plan.steps_per_epoch))
    event: Event = {"event": "epoch", "epoch": epoch + 1, "epochs": epochs, "step": progress.step}
    event |= {"train_loss": progress.loss_sum / progress.pictures, "train_accuracy": progress.hits / progress.pictures}
    better = True
    if result is not None:
        if not math.isfinite(result.nll):
            raise _diverged(training, plan, lr, "the validation loss is no number")
        first = progress.best_epoch < 0
        better = first or (result.value, -result.nll) > (progress.best_value, -progress.best_nll)
        event |= {"val_accuracy": result.accuracy, "val_nll": result.nll}
        event |= {f"val_{result.measure}": result.measured} if result.measure else {}
        if better:
            progress.best_value, progress.best_nll = result.value, result.nll
    if better or plan.config.folds:
        progress.best_epoch = epoch
        hooks.keep_best()
    event |= {"best": better, "lr": lr, "seconds": round(seconds, 3)}
    event["images_per_second"] = round(progress.pictures / seconds, 1)
    hooks.emit(event)
    progress.loss_sum, progress.hits, progress.pictures = 0.0, 0, 0


def _out_of_patience(training: Training, plan: Plan, epoch: int) -> bool:
    patience, best = plan.config.patience, training.progress.best_epoch
    return bool(patience) and best >= 0 and epoch - 1 - best >= patience


def _diverged(training: Training, plan: Plan, lr: float, what: str) -> Diverged:
    best = training.progress.best_epoch
    kept = f"the model of epoch {best + 1} is kept" if best >= 0 else "no epoch was finished, so no model was kept"
    step, total = training.progress.step + 1, training.progress.timeline.total
    return Diverged(
        f"{what} at step {step} of {total} with a learning rate of {lr:g}; {kept}",
        f"train with a smaller rate, e.g. --lr {plan.config.optim.lr / 10:g}",
    )
