"""TensorBoard, for those who like it (extra `track`): one more listener to the events that the journal holds anyway."""

from pathlib import Path

from reslab.errors import ResLabError
from reslab.system.events import Event, Listener


def tensorboard_listener() -> Listener:
    """A listener that writes scalars into `tensorboard/` inside the run folder; each fold into its own.

    Raises:
        ResLabError: TensorBoard is not installed.
    """
    try:  # the leaf that needs the extra
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ResLabError("--track needs TensorBoard", "pip install 'reslab[track]'") from None
    writer: SummaryWriter | None = None

    def listen(event: Event) -> None:
        nonlocal writer
        if event["event"] in ("plan", "fold"):
            writer = SummaryWriter(str(Path(event["folder"]) / "tensorboard"))
        elif event["event"] == "step" and writer:
            done = (event["epoch"] - 1) * event["steps"] + event["step"]
            writer.add_scalar("loss/step", event["loss"], done)
            writer.add_scalar("learning rate", event["lr"], done)
        elif event["event"] == "epoch" and writer:
            for name in ("train_loss", "train_accuracy", "val_accuracy", "val_mean_ap", "val_nll", "images_per_second"):
                if name in event:
                    writer.add_scalar(name, event[name], event["epoch"])
            writer.flush()

    return listen
