"""What others than the paper publish of methods, as a second number to hold ours against.

`published.csv` has facts alone: whose number, of which images and references, and how measured.
"""

import csv
import functools
from dataclasses import dataclass
from importlib import resources

from srntt_pipeline.evaluation.paper import PaperNumber

_RECONSTRUCTION = "reconstruction"


@dataclass(frozen=True)
class Published:
    """A published number of a method.

    `variant`: which of its networks, such as `reconstruction` for one trained on that loss alone;
    `reference`: as in tables, empty where it is not told; `protocol`: the one of ours that is the
    same as `measured`, if there is one; `source`: whose number, and where it stands.
    """

    method: str
    variant: str
    dataset: str
    reference: str
    protocol: str
    measured: str
    number: PaperNumber
    source: str

    @property
    def row(self) -> str:
        """What it is called in tables; with `-rec`, as such papers say, on reconstruction alone."""
        return f"{self.method}-rec" if self.variant == _RECONSTRUCTION else self.method

    @property
    def words(self) -> str:
        """Whose number it is and how it was measured, for people."""
        with_ = f", reference {self.reference}" if self.reference not in ("none", "") else ""
        variant = f" ({self.variant})" if self.variant else ""
        return f"{self.method}{variant} on {self.dataset}{with_}: {self.source}; {self.measured}"


@functools.cache
def published_rows() -> tuple[Published, ...]:
    """Return all published numbers, in the order of their methods' years."""
    text = resources.files(__package__).joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(
        Published(
            **{key: row[key] for key in ("method", "variant", "dataset", "reference", "protocol")},
            measured=row["measured"],
            number=PaperNumber(float(row["psnr_db"]), float(row["ssim"]) if row["ssim"] else None),
            source=row["source"],
        )
        for row in csv.DictReader(text.splitlines())
    )


def published_number(dataset: str, method: str, reference: str | None = None) -> Published | None:
    """Return what is published of a method by its name in tables, if anything.

    `reference`: with that one; None: the first number there is, where one stands for the method.
    """
    for row in published_rows():
        if (row.dataset, row.row) == (dataset, method) and reference in (None, row.reference):
            return row
    return None
