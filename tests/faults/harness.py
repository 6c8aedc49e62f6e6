"""What the tests of faults share: how often each is tried, the undisturbed runs, the disk."""

import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from commands import COMMANDS, Command, Inputs, differences, everything, partials, results
from PIL import Image
from safetensors.numpy import load
from zygote import Ended, Running, Zygote

from srntt_pipeline.hdf5 import is_intact

TIMES = int(os.environ.get("SRNTT_TEST_FAULTS", "1"))
PAGE = 4096  # bytes; what a tmpfs counts in


def each(*always: str) -> pytest.MarkDecorator:
    """Parametrize a test by command; slow ones only with many TIMES, but for those named."""
    chosen = [c for c in COMMANDS if not c.slow or TIMES > 4 or c.name in always]
    return pytest.mark.parametrize("command", chosen, ids=lambda command: command.name)


class Broken(AssertionError):  # noqa: N818 - what is raised is a broken promise
    """A command that did not end as it should."""


def check(holds: object, message: str) -> None:
    """Raise Broken with `message` unless `holds`."""
    if not holds:
        raise Broken(message)


@dataclass
class Trials:
    """How often a fault was tried on a command, and what went wrong."""

    tried: int = 0
    lost: list[str] = field(default_factory=list)

    @contextmanager
    def one(self, what: str) -> Iterator[None]:
        """Count a trial; note what breaks in it, and go on."""
        self.tried += 1
        try:
            yield
        except (Broken, TimeoutError) as error:
            self.lost.append(f"{what}: {error}")

    @contextmanager
    def uncounted(self, what: str) -> Iterator[None]:
        """Note what breaks, as part of the trials before."""
        try:
            yield
        except (Broken, TimeoutError) as error:
            self.lost.append(f"{what}: {error}")


@dataclass(frozen=True)
class Undisturbed:
    """What a command writes when nothing happens, and within how many seconds."""

    results: dict[str, bytes]
    seconds: float


class Lab:
    """Runs commands in folders of their own, and knows what they write when undisturbed."""

    def __init__(self, zygote: Zygote, inputs: Inputs, scratch: Path) -> None:
        self.zygote, self.inputs, self._scratch = zygote, inputs, scratch
        self._known: dict[str, Undisturbed] = {}
        self._count = 0
        self._given = everything(inputs.root)

    def folder(self, command: Command | None = None) -> Path:
        """Return a new folder, with what `command` expects in it."""
        self._count += 1
        folder = self._scratch / str(self._count)
        folder.mkdir()
        if command:
            command.prepare(self.inputs, folder)
        return folder

    def start(self, command: Command, folder: Path, **options: Any) -> Running:
        """Start a command that writes into `folder`."""
        changed = options.pop("changed", False)
        line = command.line(self.inputs, folder, changed=changed)
        return self.zygote.start(*line, cwd=self._scratch, **options)

    def run(self, command: Command, folder: Path, **options: Any) -> Ended:
        """Run a command to its end."""
        return self.start(command, folder, **options).end()

    def undisturbed(self, command: Command) -> Undisturbed:
        """Return what a command does when nothing happens."""
        if command.name not in self._known:
            folder = self.folder(command)
            ended = self.run(command, folder)
            assert ended.code == 0, f"undisturbed: {ended}"
            self._known[command.name] = Undisturbed(results(folder), ended.seconds)
            shutil.rmtree(folder)
        return self._known[command.name]

    def check_rerun(self, command: Command, folder: Path) -> None:
        """Check that another run gets through, to the bytes of an undisturbed one."""
        ended = self.run(command, folder)
        check(ended.code == 0, f"the run after that: {ended}")
        self.check_results(command, folder, "the run after that")

    def check_results(self, command: Command, folder: Path, which: str) -> None:
        """Check that `folder` holds what an undisturbed run leaves."""
        told = differences(results(folder), self.undisturbed(command).results)
        check(not told, f"{which} left {told}")

    def check_inputs(self) -> None:
        """Check that no input has changed; put them right, for the commands that come."""
        now = everything(self.inputs.root)
        if now == self._given:
            return
        told = differences(now, self._given)
        for name in now.keys() - self._given.keys():
            (self.inputs.root / name).unlink()
        for name, content in self._given.items():
            path = self.inputs.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        raise Broken(f"inputs: {told}")


def rng_of(*names: str) -> random.Random:
    """Return a generator of random numbers for one test."""
    return random.Random(" ".join(names))


def check_one_line(ended: Ended, about: Path | None = None) -> None:
    """Check that a command has ended with exit code 2 and one line, on a file below `about`."""
    check(ended.code == 2, f"not exit code 2: {ended}")
    check("Traceback" not in ended.err, f"a traceback: {ended}")
    check(len(ended.errors) == 1, f"{len(ended.errors)} lines of error: {ended}")
    check(ended.err.splitlines()[-1] == ended.errors[0], f"more after the error: {ended}")
    if about:
        check(str(about) in ended.errors[0], f"names no file: {ended.errors[0]}")


def check_no_partials(folder: Path) -> None:
    """Check that no file that was begun and not ended is left."""
    left = partials(everything(folder))
    check(not left, f"left {left[:4]}")


def check_whole(command: Command, folder: Path, expected: dict[str, bytes]) -> None:
    """Check that each file under its final name is the undisturbed one, or an earlier whole one."""
    for name, content in results(folder).items():
        if name in partials([name]) or content == expected.get(name):
            continue
        place = name.removeprefix(f"{command.out}/")
        earlier = any(fnmatch(place, pattern) for pattern in command.changing)
        if place.startswith(".srntt_pipeline/"):
            earlier = True
        check(earlier, f"{name} is neither what an undisturbed run writes nor due to change")
        check(_is_complete(folder / name), f"{name} is cut short ({len(content)} bytes)")


_READERS: dict[str, Callable[[Path], object]] = {
    ".json": lambda path: json.loads(path.read_bytes()),
    ".png": lambda path: Image.open(path).load(),
    ".safetensors": lambda path: load(path.read_bytes()),
    ".h5": is_intact,
}


def _is_complete(path: Path) -> bool:
    read = _READERS.get(path.suffix)
    if read is None:  # CSV, TSV, Markdown: whole lines
        return path.read_bytes().endswith(b"\n")
    try:
        return read(path) is not False
    except Exception:
        return False


SAYS_WHO_WRITES = re.compile(r"being written|is writing|writes to|in use", re.IGNORECASE)


class SmallDisk:
    """A tmpfs whose size can be changed; `folder` is an empty folder on it."""

    def __init__(self, place: Path) -> None:
        self._place, self.folder = place, place / "work"
        _mount("-t", "tmpfs", "-o", "size=1g", "tmpfs", place)
        # A tmpfs of size 0 is one without limit: so the least is the page that this takes.
        (place / "ballast").write_bytes(bytes(PAGE))
        self.folder.mkdir()

    @property
    def used(self) -> int:
        """Bytes that are taken."""
        status = os.statvfs(self._place)
        return (status.f_blocks - status.f_bfree) * status.f_frsize

    def resize(self, size: int) -> None:
        """Make it hold that many bytes, a multiple of PAGE."""
        _mount("-o", f"remount,size={size}", self._place)

    def remove(self) -> None:
        """Take it away, with all that is on it."""
        subprocess.run(["umount", "--lazy", self._place], check=True)


def _mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)


def can_mount(folder: Path) -> bool:
    """Tell whether a tmpfs can be mounted here (root can)."""
    try:
        SmallDisk(folder).remove()
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def report(record: Callable[[str, object], None], fault: str, trials: Trials) -> None:
    """Hand the counts to the table that ends a session, and fail if anything was lost."""
    record("fault", json.dumps([fault, trials.tried, min(trials.tried, len(trials.lost))]))
    if trials.lost:
        shown = "\n".join(trials.lost[:3])
        pytest.fail(f"{len(trials.lost)} of {trials.tried} trials:\n{shown}", pytrace=False)
