"""Votes that participants downloaded from the page without a server, put to the others."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from srntt_pipeline.errors import InputError, first_problem
from srntt_pipeline.files import read_json
from srntt_pipeline.outputs import open_output
from srntt_pipeline.study.design import Part, Side, read_design
from srntt_pipeline.study.store import FILES, LONGEST_S, PARTICIPANT, Refused, Store
from srntt_pipeline.study.turns import plans

log = logging.getLogger(__name__)

FORMAT = "srntt_pipeline votes 1"


class Choice(Part):
    """What was chosen in a turn, and in how many seconds."""

    choice: Side
    seconds: float = Field(ge=0, le=LONGEST_S)


class VotesFile(Part):
    """A file of votes: a participant's choices on the turns of a plan, from the first on."""

    format: Literal["srntt_pipeline votes 1"]
    study: str = Field(pattern=r"^[0-9a-f]{64}$")
    participant: str = Field(pattern=PARTICIPANT)
    plan: int = Field(ge=0, le=10_000)
    votes: tuple[Choice, ...] = Field(max_length=10_000)


def collect_votes(study: Path, files: Sequence[Path]) -> int:
    """Put the votes in `files` into the study's `votes.sqlite`; return how many were new.

    `files`: JSON files, or folders of them. Votes that are there already are not stored twice. All
    files are read before one vote is stored. Raises InputError that names the file, for one of
    another study, or one that contradicts what is there.
    """
    design = read_design(study)
    paths = [found for file in files for found in _files(file)]
    read = {path: _read(path) for path in dict.fromkeys(paths)}
    known = plans(design)
    for path, given in read.items():
        if given.study != design.fingerprint:
            raise InputError(f"{path}: votes of another study than {study}; leave it out")
        if given.plan >= len(known) or len(given.votes) > len(known[given.plan]):
            raise InputError(f"{path}: {study} has no such plan; leave it out")
    with open_output(study, "study") as output:
        output.claim(map(Path, FILES))
        store = Store(study / FILES[0], design)
        new = 0
        try:
            for path, given in read.items():
                choices = [(vote.choice, vote.seconds) for vote in given.votes]
                try:
                    new += store.add_all(given.participant, known[given.plan], choices)
                except Refused as error:
                    raise InputError(f"{path}: {error}; leave it out") from None
        finally:
            store.close()
    log.info("%d new votes of %d files", new, len(read))
    return new


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.json"))
    if not found:
        raise InputError(f"{path}: no .json file is in it; name files of votes")
    return found


def _read(path: Path) -> VotesFile:
    content = read_json(path, "name a file that the study's page wrote")
    try:
        return VotesFile.model_validate(content)
    except ValidationError as error:
        raise InputError(
            f"{path}: not a file of votes ({first_problem(error)}); leave it out"
        ) from None
