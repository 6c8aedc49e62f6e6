"""The paper's numbers (Tables 1–3 and Figure 7), to stand beside ours."""

import csv
import functools
from dataclasses import dataclass
from importlib import resources

# The protocol that is nearest to how the paper measured a data set, where that is known.
PAPER_PROTOCOLS = {"Urban100": "paper-urban100", "Sun80": "rgb"}
PAPER_IMAGES = {"CUFED5": 126, "Sun80": 80, "Urban100": 100}
PROTOCOL_NOTE = (
    "The paper does not say how its numbers were measured; its columns follow different protocols "
    "(Urban100: paper-urban100; Sun80: near rgb; CUFED5: unknown). A difference is meaningful only "
    "where the protocol and the images are the same."
)


@dataclass(frozen=True)
class PaperNumber:
    """A published PSNR (dB) and, where there is one, SSIM."""

    psnr_db: float
    ssim: float | None


@dataclass(frozen=True)
class PaperRow:
    """A row of a table (`1`, `2`, `3`, or `fig7`), in the paper's words."""

    table: str
    method: str
    dataset: str
    reference: str
    number: PaperNumber


@functools.cache
def paper_rows() -> tuple[PaperRow, ...]:
    """Return all rows of the paper's tables, in their order."""
    text = resources.files(__package__).joinpath("paper_tables.csv").read_text(encoding="utf-8")
    return tuple(
        PaperRow(
            row["table"],
            row["method"],
            row["dataset"],
            row["reference"],
            PaperNumber(float(row["psnr_db"]), float(row["ssim"]) if row["ssim"] else None),
        )
        for row in csv.DictReader(text.splitlines())
    )


@functools.cache
def _numbers() -> dict[tuple[str, str, str], PaperNumber]:
    return {(row.dataset, row.method, row.reference): row.number for row in paper_rows()}


def canonical_dataset(name: str) -> str:
    """Return the paper's spelling of a data set's name (`urban100` → `Urban100`), or `name`."""
    spellings = {dataset.lower(): dataset for dataset, _, _ in _numbers()}
    return spellings.get(name.lower(), name)


def paper_number(dataset: str, method: str, reference: str, alone: bool) -> PaperNumber | None:
    """Return what the paper prints, if anything.

    Table 1 gives one number per method and data set: it is that of `all` references, of methods
    that take none (`none`), and on sets without references (`alone`) that of `LR`, which the paper
    used there. Table 2 gives the other references.
    """
    numbers = _numbers()
    if reference in ("all", "none") or (alone and reference == "LR"):
        reference = "all"
    return numbers.get((dataset, method, reference))
