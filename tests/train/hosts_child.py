"""What each process of test_hosts runs: `reslab`, with a log of the pictures that it trained on, and stops on the way.

A stop is a file in RESLAB_TEST_STOPS. `HOST-STEP`: this process stands still before that step until it is killed.
`all-STEP`: it stands still until a signal comes.
"""

import json
import os
import select
import signal
import sys
import time
from pathlib import Path

STOPS, HOST = Path(os.environ["RESLAB_TEST_STOPS"]), os.environ["RESLAB_TEST_HOST"]


def main():
    from reslab.cli.app import run
    from reslab.train import loop

    whole = loop.update
    heard, said = os.pipe()
    os.set_blocking(said, False)

    def update(training, batch, plan, lr, group, done):
        step = training.progress.step
        if (STOPS / f"{HOST}-{step}").exists():
            (STOPS / f"{HOST}-{step}").rename(STOPS / f"{HOST}-{step}.reached")
            time.sleep(600)
        if (stop := STOPS / f"all-{step}").exists():
            (STOPS / f"{HOST}-all-{step}.reached").touch()
            signal.set_wakeup_fd(said)
            select.select([heard], [], [], 120)
            stop.unlink(missing_ok=True)
        mine = batch.indices[batch.first : batch.first + len(batch.pixels)].tolist()
        loss = whole(training, batch, plan, lr, group, done)
        with (STOPS.parent / f"log-{HOST}").open("a") as log:
            log.write(json.dumps([group.world, step, step // plan.steps_per_epoch, mine]) + "\n")
        return loss

    loop.update = update
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
