"""Curves and sample pictures as DVCLive writes them, for `dvc plots` and its viewers.

They repeat what the run's state holds and are made anew from it when a run goes on, so that a kill
leaves no step twice.
"""

import logging
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
from dvclive.live import Live
from scmrepo.exceptions import SCMError

from srntt_pipeline.training.state import Progress

log = logging.getLogger(__name__)

FOLDER = "dvclive"
LOSS_EVERY = 10  # steps


class Curves:
    """DVCLive's folder in `out`, brought to where `progress` is."""

    def __init__(self, out: Path, progress: Progress) -> None:
        plots = out / FOLDER / "plots"
        shutil.rmtree(plots / "metrics", ignore_errors=True)
        for picture in (plots / "images" / "sample").glob("*.png"):
            if int(picture.stem) > progress.step:
                picture.unlink()
        self._live = _live(out / FOLDER)
        for row in progress.losses:
            self.loss(row)
        for row in progress.validations:
            self.validation(row)

    def loss(self, row: dict[str, object]) -> None:
        """Add a row of the loss curve, if it is one of every ten."""
        if int(str(row["step"])) % LOSS_EVERY == 0:
            self._add("train", row)

    def validation(self, row: dict[str, object]) -> None:
        """Add a row of the validation curve."""
        self._add("validation", row)

    def picture(self, step: int, image: npt.NDArray[np.uint8]) -> None:
        """Add a sample picture, uint8 [H, W, 3]."""
        if self._live:
            self._live.log_image(f"sample/{step}.png", image)

    def close(self) -> None:
        """Write the last values."""
        if self._live:
            self._live.make_summary()
            self._live.end()

    def _add(self, group: str, row: dict[str, object]) -> None:
        if not self._live:
            return
        self._live.step = int(str(row["step"]))
        for name, value in row.items():
            if name not in ("step", "phase") and value is not None:
                self._live.log_metric(f"{group}/{name}", float(str(value)))


def _live(folder: Path) -> Live | None:
    """Return DVCLive's writer to `folder`; None, with a warning, where it cannot work."""
    try:
        # No experiment in the user's repository, and no dvc.yaml in it: ours has one.
        return Live(
            str(folder), save_dvc_exp=False, dvcyaml=None, report=None, resume=True,
            monitor_system=False,
        )  # fmt: skip
    except SCMError as error:  # a git repository without a commit
        log.warning("No curves in %s, since DVCLive cannot read git (%s)", folder, error)
        return None
