"""What a study asks: its pairs of pictures, its settings, and `study.json`, which holds them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from srntt_pipeline.errors import InputError, first_problem
from srntt_pipeline.files import fingerprint, read_json

FORMAT = "srntt_pipeline user study 1"
STUDY, VOTES, PAGE, PICTURES = "study.json", "votes.sqlite", "index.html", "pictures"
QUESTION = "Which picture has the higher resolution?"  # the paper's, section 5.2
HR, BICUBIC = "HR", "Bicubic"  # what checks compare
MOST_PAIRS = 100_000

Name = Annotated[str, Field(min_length=1, max_length=1000)]
File = Annotated[str, Field(pattern=r"^pictures/[0-9a-f]{64}\.png$")]
Kind = Literal["pair", "repeat", "check"]
Side = Literal["left", "right"]


class Part(BaseModel):
    """A part of a file of ours: immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Pair(Part):
    """Two pictures of one HR image: of the method (`first`) and of its opponent (`second`).

    `reference`: the level, by which the method made its SR. The opponent made its own with the same
    reference, or takes none. In a check the method is HR itself, and the opponent bicubic.
    """

    image: Name
    reference: Name
    method: Name
    opponent: Name
    first: File
    second: File


class Settings(Part):
    """How many turns a participant has, of each kind, and the seed of order and sides."""

    pairs: int = Field(ge=1, le=1000)
    repeats: int = Field(ge=0, le=1000)
    checks: int = Field(ge=0, le=1000)
    plans: int = Field(ge=1, le=10_000)
    most_participants: int = Field(ge=1, le=1_000_000)
    seed: int = Field(ge=0, lt=2**63)

    @property
    def turns(self) -> int:
        """How many turns a participant has."""
        return self.pairs + self.repeats + self.checks

    @model_validator(mode="after")
    def _repeats_have_pairs(self) -> "Settings":
        if self.repeats > self.pairs // 3:
            raise ValueError("repeats: more than a third of the pairs")
        return self


class Design(Part):
    """A study. Pairs and checks are known by their places in these lists."""

    format: Literal["srntt_pipeline user study 1"]
    dataset: Name
    method: Name
    settings: Settings
    pairs: tuple[Pair, ...] = Field(min_length=1, max_length=MOST_PAIRS)
    checks: tuple[Pair, ...] = Field(max_length=MOST_PAIRS)

    @model_validator(mode="after")
    def _has_enough(self) -> "Design":
        for kind, there in (("pairs", self.pairs), ("checks", self.checks)):
            if getattr(self.settings, kind) > len(there):
                raise ValueError(f"{kind}: a participant would see more than there are")
        return self

    @property
    def fingerprint(self) -> str:
        """A hash of all of it: votes are of one design."""
        return fingerprint(self.model_dump(mode="json"))

    @property
    def opponents(self) -> list[str]:
        """The opponents, in the order of the study."""
        return list(dict.fromkeys(pair.opponent for pair in self.pairs))

    @property
    def references(self) -> list[str]:
        """The levels, in the order of the study."""
        return list(dict.fromkeys(pair.reference for pair in self.pairs))

    @property
    def files(self) -> list[str]:
        """The pictures' files, each once, by name: which tells nothing of the method."""
        shown = (*self.pairs, *self.checks)
        return sorted({file for pair in shown for file in (pair.first, pair.second)})

    def pair(self, kind: Kind, number: int) -> Pair:
        """Return what a turn of that kind shows."""
        return (self.checks if kind == "check" else self.pairs)[number]


def read_design(study: Path) -> Design:
    """Read `study.json` of a study's folder; raise InputError."""
    path = study / STUDY
    content = read_json(path, "name a folder that user-study make wrote")
    try:
        return Design.model_validate(content)
    except ValidationError as error:
        raise InputError(
            f"{path}: not what user-study make writes ({first_problem(error)}); make it again"
        ) from None
