from collections.abc import Iterator

import pytest

from srntt_pipeline.evaluation import measure
from srntt_pipeline.methods.cost import Cost


@pytest.fixture(scope="session", autouse=True)
def costs_stand_still() -> Iterator[None]:
    """Seconds differ from run to run; tests compare what runs write. tests/methods measures."""
    patch = pytest.MonkeyPatch()
    patch.setattr(measure, "measure_cost", lambda *given: Cost(7, 12_345.5, 0.5, 40, "a machine"))
    yield
    patch.undo()
