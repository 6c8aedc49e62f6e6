"""Curves and sample pictures as DVCLive writes them, for `dvc plots` and its viewers.

They repeat what the run's state holds and are made anew from it when a run goes on: so a kill
leaves no step twice, and nothing that lies there, damaged or not, is read.
"""

import errno
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from dvclive.live import Live
from scmrepo.exceptions import SCMError

from srntt_pipeline.images import write_png
from srntt_pipeline.outputs import ours_in
from srntt_pipeline.training.job import Schedule
from srntt_pipeline.training.objective import loss_names
from srntt_pipeline.training.state import Progress, Row
from srntt_pipeline.training.writing import naming

log = logging.getLogger(__name__)

FOLDER = Path("dvclive")
SUMMARY = FOLDER / "metrics.json"
METRICS = FOLDER / "plots" / "metrics"
PICTURES = FOLDER / "plots" / "images" / "sample"
# Steps; odd, or half of the steps being on the truth, all that are told would be of one kind.
LOSS_EVERY = 11

Picture = npt.NDArray[np.uint8]


class Curves:
    """DVCLive's folder in `out`; nothing there is touched before `begin`."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._live: Live | None = None
        self._begun = False
        self._waiting: dict[int, Picture] = {}

    def begin(self, progress: Progress, schedules: Iterable[Schedule]) -> None:
        """Bring the folder to where `progress` is; `schedules`: of all runs that wrote there."""
        if self._begun:
            return
        later = _pictures_after(progress.step, self._out / PICTURES, list(schedules))
        old = [self._out / SUMMARY, *(self._out / table for table in tables()), *later]
        for path in ours_in(self._out, old):
            with naming(path):
                path.unlink(missing_ok=True)
        self._begun, self._live = True, _live(self._out / FOLDER)
        validations = {row["step"]: row for row in progress.validations}
        for row in progress.losses:
            self.loss(row)
            if row["step"] in validations:
                self.validation(validations[row["step"]])
        for step, image in self._waiting.items():
            self.picture(step, image)
        self._waiting.clear()

    def loss(self, row: Row) -> None:
        """Add a row of the loss curve, if it is one of every `LOSS_EVERY`."""
        if int(str(row["step"])) % LOSS_EVERY == 0:
            self._add("train", row)

    def validation(self, row: Row) -> None:
        """Add a row of the validation curve."""
        self._add("validation", row)

    def picture(self, step: int, image: Picture) -> None:
        """Add a sample picture, uint8 [H, W, 3]."""
        if not self._begun:
            self._waiting[step] = image
        elif self._live:
            path = self._out / PICTURES / f"{step}.png"
            with naming(path):
                write_png(path, image)  # whole or not at all; DVCLive would write in place

    def close(self) -> None:
        """Write the last values."""
        if not self._live:
            return
        with self._writing(self._out / SUMMARY):
            self._live.make_summary()
            try:
                self._live.end()
            except Exception as error:  # it reads the whole folder, whatever others left there
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
                log.warning("Curves in %s are not reported (%s)", self._out / FOLDER, error)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        """Raise InputError as `naming` does; leave no half of `path` or of the summary."""
        try:
            with naming(path):
                yield
        except BaseException:  # a signal too: DVCLive writes in place
            # The next run makes them anew.
            for half in (path, self._out / SUMMARY):
                with suppress(OSError):
                    half.unlink(missing_ok=True)
            raise

    def _add(self, group: str, row: Row) -> None:
        if not self._live:
            return
        self._live.step = int(str(row["step"]))
        for name, value in row.items():
            if name not in ("step", "phase") and value is not None:
                with self._writing(self._out / METRICS / group / f"{name}.tsv"):
                    self._live.log_metric(f"{group}/{name}", float(value))


def tables() -> list[Path]:
    """Return where the curves of a run lie in its folder, whatever its losses."""
    curves = [METRICS / "train" / f"{name}.tsv" for name in ("loss", *loss_names())]
    return [*curves, METRICS / "validation" / "psnr_db.tsv"]


def pictures(schedule: Schedule) -> list[Path]:
    """Return where the pictures of a whole run lie in its folder."""
    every, total = schedule.validate_every, schedule.total
    steps = {*range(every, total + 1, every), total} - {0}
    return [PICTURES / f"{step}.png" for step in sorted(steps)]


def _pictures_after(step: int, folder: Path, schedules: list[Schedule]) -> list[Path]:
    """Return the pictures in `folder` that these runs made of later steps."""
    ours = [path for path in folder.glob("*.png") if re.fullmatch(r"[1-9]\d{0,17}", path.stem)]
    return [
        path
        for path in ours
        if int(path.stem) > step and any(s.validates_at(int(path.stem)) for s in schedules)
    ]


class _Live(Live):
    """DVCLive's writer, which adds to what is there but reads nothing of it."""

    def _init_resume(self) -> None:
        self._step = 0


def _live(folder: Path) -> Live | None:
    """Return DVCLive's writer to `folder`; None, with a warning, where it cannot work."""
    options: dict[str, Any] = {"report": None, "resume": True, "monitor_system": False}
    try:
        with naming(folder):
            # No experiment in the user's repository, and no dvc.yaml in it: ours has one.
            return _Live(str(folder), save_dvc_exp=False, dvcyaml=None, **options)
    except SCMError as error:  # a git repository without a commit
        log.warning("No curves in %s, since DVCLive cannot read git (%s)", folder, error)
        return None
