"""Every command into a full disk, killed, stopped, and started twice at once.

Whatever happens, files are whole, one line says why, nothing goes on running, and the next run
ends with the bytes of an undisturbed one. `make faults` tries each twenty times.
"""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import BY_NAME, Command, everything, partials, results
from harness import (
    PAGE,
    SAYS_WHO_WRITES,
    TIMES,
    Lab,
    SmallDisk,
    Trials,
    can_mount,
    check,
    check_no_partials,
    check_one_line,
    check_whole,
    each,
    report,
    rng_of,
)
from zygote import Ended

Record = Callable[[str, object], None]
LOG = 1 << 14  # bytes that what a command says may take, which is a file too
STOPPED = 128 + signal.SIGTERM


@each()
def test_full_disk(lab: Lab, command: Command, tmp_path: Path, record_property: Record) -> None:
    """OUT lies on a disk that has room for a part of what the command writes; then there is room.

    Where no disk can be mounted, no file may grow beyond a random length instead.
    """
    rng, trials = rng_of("disk", command.name), Trials()
    expected = lab.undisturbed(command).results
    place = tmp_path / "disk"
    place.mkdir()
    mounted = can_mount(place)
    need = sum(-len(content) // PAGE * -PAGE for content in expected.values())
    for _ in range(TIMES):
        if mounted:
            disk = SmallDisk(place)
            try:
                command.prepare(lab.inputs, disk.folder)
                used = disk.used
                pages = rng.randrange(max(1, (need - used) // PAGE + 1))
                disk.resize(used + pages * PAGE)
                with trials.one(f"room for {pages} pages, {need} bytes needed in all"):
                    _check_full(lab, command, disk.folder, lab.run(command, disk.folder))
                    disk.resize(1 << 30)
                    lab.check_rerun(command, disk.folder)
            finally:
                disk.remove()
        else:
            folder = lab.folder(command)
            largest = max(map(len, expected.values()))
            if largest <= LOG:
                pytest.skip("a disk for small files cannot be mounted here: that takes root")
            length = rng.randrange(LOG, largest)
            with trials.one(f"no file over {length} bytes"):
                _check_full(lab, command, folder, lab.run(command, folder, largest_file=length))
                lab.check_rerun(command, folder)
    report(record_property, "full disk", trials)


def _check_full(lab: Lab, command: Command, folder: Path, ended: Ended) -> None:
    if ended.code:
        check_one_line(ended, about=folder)
        check_no_partials(folder)
        check_whole(command, folder, lab.undisturbed(command).results)
    else:  # what there was room for was enough, or what was lost was not told
        lab.check_results(command, folder, "a run that ended with exit code 0")


def _begins(command: Command) -> float:
    """Return the part of a run after which workers, where there are any, are at work."""
    return 0.3 if command.slow else 0.0


@each("build-cufed5 --workers 2")
def test_kill(lab: Lab, command: Command, record_property: Record) -> None:
    """SIGKILL at a random moment, again and again until a run gets through; then afresh."""
    rng, trials = rng_of("kill", command.name), Trials()
    undisturbed = lab.undisturbed(command)
    folder, seconds = lab.folder(command), undisturbed.seconds
    while trials.tried < TIMES:
        moment = seconds * rng.uniform(_begins(command), 1)
        running = lab.start(command, folder)
        if running.wait(moment):  # it got through: another is begun
            ended = running.end()
            with trials.uncounted("a run that was not killed"):
                check(ended.code == 0, str(ended))
                lab.check_results(command, folder, "a run that was not killed")
            shutil.rmtree(folder)
            command.prepare(lab.inputs, folder)
            seconds *= 0.8  # the machine is faster now: runs are to be killed
            continue
        running.signal(signal.SIGKILL)
        running.end()
        with trials.one(f"killed after {moment:.2f} of {undisturbed.seconds:.2f} s"):
            left = running.left_behind(3)
            check(not left, f"3 s later {len(left)} processes went on: {left[0] if left else ''}")
            check_whole(command, folder, undisturbed.results)
    with trials.uncounted("in the end"):
        lab.check_rerun(command, folder)
        check_no_partials(folder)
    report(record_property, "SIGKILL", trials)


@each("build-cufed5 --workers 2")
def test_terminate(lab: Lab, command: Command, record_property: Record) -> None:
    """SIGTERM at a random moment, to the command as `timeout` does or to its group as SLURM."""
    rng, trials = rng_of("terminate", command.name), Trials()
    undisturbed = lab.undisturbed(command)
    folder, seconds = lab.folder(command), undisturbed.seconds
    before = everything(folder)
    while trials.tried < TIMES:
        moment = seconds * rng.uniform(_begins(command), 1)
        running = lab.start(command, folder)
        if running.wait(moment):
            running.end()
            shutil.rmtree(folder)
            command.prepare(lab.inputs, folder)
            seconds *= 0.8
            continue
        running.signal(signal.SIGTERM, group=rng.random() < 0.5)
        with trials.one(f"stopped after {moment:.2f} of {undisturbed.seconds:.2f} s"):
            try:
                ended = running.end(30)
            finally:
                left = running.left_behind(2)
            check(not left, f"2 s later {len(left)} processes went on: {left[0] if left else ''}")
            # Before it has begun and after it is done, Python's own way to end is as good.
            idle = everything(folder) == before or results(folder) == undisturbed.results
            allowed = {0, STOPPED, *([-signal.SIGTERM] if idle else [])}
            check(ended.code in allowed, f"not exit code {STOPPED}: {ended}")
            check("Traceback" not in ended.err, f"a traceback: {ended}")
            check(len(ended.errors) <= 1, f"{len(ended.errors)} lines of error: {ended}")
            check_no_partials(folder)
            check_whole(command, folder, undisturbed.results)
        before = everything(folder)
    with trials.uncounted("in the end"):
        lab.check_rerun(command, folder)
    report(record_property, "SIGTERM", trials)


@each()
def test_two_at_once(lab: Lab, command: Command, record_property: Record) -> None:
    """Two runs of one command into one OUT: one writes, the other says so or comes later."""
    rng, trials = rng_of("two", command.name), Trials()
    seconds = lab.undisturbed(command).seconds
    for _ in range(TIMES):
        folder = lab.folder(command)
        apart = 0.5 * seconds * rng.random() ** 2
        first = lab.start(command, folder)
        first.wait(apart)
        second = lab.start(command, folder)
        with trials.one(f"{apart:.2f} s apart"):
            ended = [first.end(), second.end()]
            done = [one for one in ended if one.code == 0]
            check(done, "neither got through:\n" + "\n".join(map(str, ended)))
            for other in ended:
                if other.code:
                    check_one_line(other)
                    told = other.errors[0]
                    check(SAYS_WHO_WRITES.search(told), f"does not say who writes: {told}")
            lab.check_results(command, folder, "two runs at once")
            left = partials(results(folder))
            check(not left, f"left {left[:4]}")
        shutil.rmtree(folder)
    report(record_property, "two at once", trials)


@pytest.mark.parametrize(
    ("shard", "whole"),
    [("build-cufed5 --shard", "build-cufed5"), ("precompute-swaps --shard", "precompute-swaps")],
)
def test_shards_at_once(lab: Lab, shard: str, whole: str, record_property: Record) -> None:
    """Shards of one job may write into one OUT at once; what they merge to is the whole."""
    trials = Trials()
    for _ in range(TIMES):
        folder = lab.folder()
        with trials.one("two shards at once"):
            lines = [
                [*BY_NAME[shard].line(lab.inputs, folder), "--shard", f"{k}/2"] for k in (1, 2)
            ]
            running = [lab.zygote.start(*line, cwd=folder) for line in lines]
            for one in running:
                ended = one.end()
                check(ended.code == 0, str(ended))
            merge = f"{whole} --merge"
            ended = lab.run(BY_NAME[merge], folder)
            check(ended.code == 0, f"--merge: {ended}")
            lab.check_results(BY_NAME[whole], folder, "--merge")
    report(record_property, "two shards at once", trials)
