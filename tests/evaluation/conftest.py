"""What the tests of `evaluate` share."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from srntt_pipeline.evaluation import figures, report
from srntt_pipeline.evaluation.grid import draw_grid, grid_files
from srntt_pipeline.layout import Group
from srntt_pipeline.swaps import match_figure


@pytest.fixture(scope="module", autouse=True)
def undrawn(white: Callable[..., None]) -> Iterator[None]:
    """Grids and pictures of matches are white: drawn, they take a second or two an image."""

    def grid(out: Path, group: Group, *_: object) -> None:
        for file in grid_files([group.name]):
            white(out / file)

    patch = pytest.MonkeyPatch()
    patch.setattr(report, "draw_grid", grid)
    patch.setattr(figures, "draw", lambda *_: Figure(figsize=(1, 1)))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def real_pictures() -> Callable[[], AbstractContextManager[None]]:
    """Within this they are drawn."""

    @contextmanager
    def drawn() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(report, "draw_grid", draw_grid)
            patch.setattr(figures, "draw", match_figure.draw)
            yield

    return drawn
