"""The paper's numbers (Tables 1–3 and Figure 7), to stand beside ours."""

import csv
import functools
from dataclasses import dataclass
from importlib import resources

from srntt_pipeline.methods.method import ALL, LR, NONE, PAPER_ALL, PAPER_LEVELS

# The protocol that is nearest to how the paper measured a data set, where that is known.
PAPER_PROTOCOLS = {"Urban100": "paper-urban100", "Sun80": "rgb"}
PAPER_IMAGES = {"CUFED5": 126, "Sun80": 80, "Urban100": 100}
# How many references the paper has of an image; CUFED5 was released with five.
PAPER_REFERENCES = {"CUFED5": len(PAPER_LEVELS)}
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


def more_than_paper(dataset: str, references: int) -> bool:
    """Tell whether a set with so many references an image has more than the paper's."""
    return references > PAPER_REFERENCES.get(dataset, references)


def paper_number(dataset: str, method: str, reference: str, references: int) -> PaperNumber | None:
    """Return what the paper prints, if anything; `references`: the most that an image here has.

    Table 1 gives one number per method and data set: it is that of `all` references (of
    `paper-all` where there are more than the paper's), of methods that take none (`none`), and on
    sets without references that of `LR`, which the paper used there. Table 2 gives the others.
    """
    all_of_paper = PAPER_ALL if more_than_paper(dataset, references) else ALL
    if reference in (all_of_paper, NONE) or (reference == LR and not references):
        reference = ALL
    elif reference == ALL:
        return None
    return _numbers().get((dataset, method, reference))
