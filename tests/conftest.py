"""Fixtures that more than one folder of tests uses."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from srntt_pipeline.files import MARK


@pytest.fixture(scope="session")
def shared() -> Path:
    """The data shared beside the repository: real albums, CUFED5 samples, weights."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared")
    return folder


@pytest.fixture(scope="session")
def real_albums(shared: Path) -> Path:
    return shared / "data" / "albums"


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """PyTorch on one thread, since rounding differs with their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photograph() -> np.ndarray:
    """A photograph that ships with scikit-image, uint8 [512, 512, 3]."""
    return skimage.data.astronaut()


@pytest.fixture(scope="session")
def save_view(photograph: np.ndarray) -> Callable[..., Path]:
    """Save a 160×120 view of the photograph; views of near `x` show much the same."""

    def save(path: Path, x: int = 0, **options: object) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph[20:140, 120 + x : 280 + x]).save(path, **options)
        return path

    return save


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Read a whole folder: the bytes of every file by its path there.

    Without the inventory and the lock of `outputs`: tests copy parts of folders. What a run left
    half-written lies beside these, and is read.
    """

    def read(folder: Path) -> dict[str, bytes]:
        own = {f"{MARK}/mark.json", f"{MARK}/lock"}
        files = sorted(
            path
            for path in folder.rglob("*")
            if path.is_file() and "/".join(path.parts[-2:]) not in own
        )
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    return read
