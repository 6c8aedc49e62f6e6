"""Fixtures that more than one folder of tests uses."""

import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from srntt_pipeline.evaluation import weighing
from srntt_pipeline.files import MARK
from srntt_pipeline.methods.cost import Cost

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
# Nothing here may reach for the network, not even the browser for itself.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


# Minutes long: first, so that no process waits for another at the end.
LONGEST = {"test_pipeline.py", "test_notebook.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The data shared beside the repository: real albums, CUFED5 samples, weights."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared")
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_worker() -> Iterator[None]:
    """Work stays in one process unless a test says otherwise: tests themselves run side by side."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SRNTT_WORKERS", "1")
        yield


@pytest.fixture(scope="session", autouse=True)
def costs_stand_still() -> Iterator[None]:
    """Seconds differ from run to run; tests compare what runs write. tests/methods measures."""
    patch = pytest.MonkeyPatch()
    patch.setattr(
        weighing,
        "measure_cost",
        lambda method, *given: Cost(method.parameters(), 12_345.5, 0.5, 40, "a machine"),
    )
    yield
    patch.undo()


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


@pytest.fixture(scope="session")
def other_profile() -> bytes:
    """An ICC profile of colours that are not sRGB's, made by hand: its primaries turned around.

    Red is shown by green's colour, green by blue's, blue by red's; the tone curve is 1.8.
    """

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))

    name = b"Colours turned"
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(1.8 * 256)) + b"\0\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + bytes(80)
    tags = {
        b"desc": description + bytes(-len(description) % 4),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.3851, 0.7169, 0.0971),
        b"gXYZ": xyz(0.1431, 0.0606, 0.7141),
        b"bXYZ": xyz(0.4360, 0.2225, 0.0139),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        table += tag + struct.pack(">II", place + len(body), len(content))
        body += content
    size = struct.pack(">I", place + len(body))
    header = size + b"lcms\x02\x10\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    header += fixed(0.9642) + fixed(1.0) + fixed(0.8249)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, by its driver."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs Chromium and chromedriver (Debian: chromium, chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()
