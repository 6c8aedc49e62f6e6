"""The paper's numbers (Tables 1–3 and Figure 7), to stand beside ours."""

import csv
import functools
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class PaperNumber:
    """A published PSNR (dB) and, where there is one, SSIM."""

    psnr_db: float
    ssim: float | None


@functools.cache
def _numbers() -> dict[tuple[str, str, str], PaperNumber]:
    text = resources.files(__package__).joinpath("paper_tables.csv").read_text(encoding="utf-8")
    return {
        (row["dataset"], row["method"], row["reference"]): PaperNumber(
            float(row["psnr_db"]), float(row["ssim"]) if row["ssim"] else None
        )
        for row in csv.DictReader(text.splitlines())
    }


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
