"""Three hosts on this machine: network namespaces that a bridge in a fourth one connects. What they share is its disk."""

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager

import pytest


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True)


class Host:
    """One of the machines."""

    def __init__(self, number, name):
        self.number, self.name, self.address = number, name, f"10.77.0.{number}"
        self._started = []

    def run(self, *command, **options):
        """A process there."""
        process = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.name}", *map(str, command)], **options)
        self._started.append(process)
        return process

    def kill(self):
        """All that runs there ends at once."""
        for pid in ip("netns", "pids", self.name).stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        for process in self._started:
            process.wait()

    def unplug(self):
        """Nothing reaches it any more, and it reaches nothing."""
        assert ip("-n", self.name, "link", "set", "eth0", "down").returncode == 0


@contextmanager
def hosts(count):
    """Some machines in one network; skips where namespaces cannot be made."""
    if not (shutil.which("ip") and shutil.which("nsenter")) or os.geteuid() != 0:
        pytest.skip("network namespaces need root, ip and nsenter")
    stem = f"reslab-{os.getpid()}"
    names = [f"{stem}-{number}" for number in range(count + 1)]
    machines = [Host(number, name) for number, name in enumerate(names)]
    try:
        for name in names:
            if (made := ip("netns", "add", name)).returncode:
                pytest.skip(f"network namespaces cannot be made here: {made.stderr.strip()}")
        switch = names[0]
        commands = [
            ["-n", switch, "link", "add", "bridge", "type", "bridge"],
            ["-n", switch, "link", "set", "bridge", "up"],
        ]
        for number, name in enumerate(names[1:], 1):
            commands += [
                ["-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", f"port{number}", "netns", switch],
                ["-n", switch, "link", "set", f"port{number}", "master", "bridge", "up"],
                ["-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0"],
                ["-n", name, "link", "set", "eth0", "up"],
                ["-n", name, "link", "set", "lo", "up"],
            ]
        for command in commands:
            if (done := ip(*command)).returncode:
                pytest.skip(f"virtual networks cannot be made here: {done.stderr.strip()}")
        yield machines[1:]
    finally:
        for machine in machines:
            machine.kill()
            ip("netns", "del", machine.name)
