"""A run as one object: which pictures, which plan, where it is written, who listens, which processes."""

from dataclasses import dataclass, replace
from pathlib import Path

from reslab.data.catalog import Catalog
from reslab.data.draws import steps_per_epoch
from reslab.data.store import Store
from reslab.model.run import CONFIG_NAME, fold_folder
from reslab.system.events import Listener, ignore
from reslab.train.config import Origin, Plan
from reslab.train.inputs import Stores, preprocess_of
from reslab.train.plan.resolve import with_statistics
from reslab.train.step.process_group import SINGLE, ProcessGroup
from reslab.words.phrases import say


@dataclass(frozen=True, slots=True)
class Job:
    """One run, ready to train."""

    folder: Path
    plan: Plan
    catalog: Catalog
    """Every picture of the run in its split; in a cross-validation also in its fold."""
    stores: Stores
    listener: Listener = ignore
    """Is given every event; in processes other than the first it is `ignore`."""
    group: ProcessGroup = SINGLE
    resume: bool = False
    """Continue from the saved state; from the start where the run was stopped before its first one."""
    spent: float = 0.0
    """Seconds that went before, where the run has a time to keep."""

    def fold(self, number: int) -> "Job":
        """The run of one fold, in a folder of its own. The folds share all choices and what has been decoded.

        What is measured on pictures is measured on those that train.
        """
        folder, catalog = fold_folder(self.folder, number), self.catalog.with_fold(number)
        train = self.stores.train.part(catalog.split("train"))
        stores = Stores(train, Store(catalog.split("val"), preprocess_of(self.plan)))
        plan, resume = self.group.share(
            (self._plan_of_fold(number, train), self.resume and (folder / CONFIG_NAME).is_file())
            if self.group.first
            else None
        )
        return replace(self, folder=folder, plan=plan, catalog=catalog, stores=stores, resume=resume, spent=0.0)

    def _plan_of_fold(self, number: int, train: Store) -> Plan:
        plan = self.plan
        config = replace(plan.config, fold=number)
        origins = {**plan.origins, "fold": Origin("user", say("reason.fold", folds=config.folds))}
        steps = steps_per_epoch(len(train), config.batch_size)
        return with_statistics(replace(plan, config=config, origins=origins, steps_per_epoch=steps), train)
