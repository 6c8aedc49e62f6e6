"""The report of a study: the paper's Figure 6 of our votes, as CSV, pictures and a page."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from srntt_pipeline.config import StudyReportParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.figures import save_figure
from srntt_pipeline.files import csv_bytes, write_bytes, write_json
from srntt_pipeline.outputs import open_output
from srntt_pipeline.study.agreement import Participant, agreement, krippendorff, participants
from srntt_pipeline.study.design import VOTES, Design, read_design
from srntt_pipeline.study.preferences import EVERY, Preferences, Score, Share
from srntt_pipeline.study.report_page import PAPER, draw, report_page
from srntt_pipeline.study.store import Vote, read_votes

log = logging.getLogger(__name__)

FILES = (
    "figure6.csv", "figure6.png", "figure6.pdf", "scores.csv", "agreement.csv",
    "participants.csv", "votes.csv", "index.html", "metrics.json",
)  # fmt: skip
_VOTE_COLUMNS = (
    "participant", "position", "kind", "image", "reference", "method", "opponent", "preferred",
    "side", "seconds", "counted",
)  # fmt: skip


def study_report(study: Path, out: Path, params: StudyReportParams) -> list[Share]:
    """Write the report of the votes in `study` to the folder `out`; return Figure 6's shares.

    Writes `figure6.csv`, `.png` and `.pdf` (shares), `scores.csv` (Bradley-Terry), `agreement.csv`,
    `participants.csv`, `votes.csv`, `metrics.json` and `index.html`. Votes of participants that
    failed the checks are listed, but not counted. Raises InputError, as where no vote is left.
    """
    design = read_design(study)
    votes = read_votes(study / VOTES, design)
    people = participants(votes, params.least_right)
    counted = {one.participant for one in people if one.counted}
    kept = [vote for vote in votes if vote.participant in counted]
    if not any(vote.kind == "pair" for vote in kept):
        raise InputError(
            f"{study}: no vote on a pair; of {len(people)} participants "
            f"{len(people) - len(counted)} failed the checks (--least-right)"
        )
    preferences = Preferences(design, kept, resamples=params.resamples, seed=params.seed)
    shares, scores = preferences.shares(), preferences.scores()
    agreed = _agreement(design, kept)
    notes = _notes(design, votes, people, params)
    figure = draw(design, shares)
    with open_output(out, "study_report", reads=[study]) as output:
        output.claim(map(Path, FILES))
        for name, kind, rows in (
            ("figure6.csv", Share, shares),
            ("scores.csv", Score, scores),
            ("participants.csv", Participant, people),
        ):
            columns = [field.name for field in fields(kind)]
            write_bytes(out / name, csv_bytes(columns, map(asdict, rows)))
        write_bytes(out / "agreement.csv", csv_bytes(list(agreed[0]), agreed))
        write_bytes(
            out / "votes.csv",
            csv_bytes(_VOTE_COLUMNS, (_row(design, vote, counted) for vote in votes)),
        )
        for name in ("figure6.png", "figure6.pdf"):
            save_figure(figure, out / name)
        page = report_page(design, shares, scores, agreed, people, notes)
        write_bytes(out / "index.html", page.encode())
        every = next(s for s in shares if (s.opponent, s.reference) == (EVERY, EVERY))
        write_json(
            out / "metrics.json",
            {"votes": every.votes, "share": every.share, "participants": len(people),
             "failed_checks": len(people) - len(counted), "alpha": agreed[0]["alpha"]},
        )  # fmt: skip
    log.info("Wrote %s: %s", out / "index.html", notes[0])
    return shares


def _row(design: Design, vote: Vote, counted: set[str]) -> dict[str, Any]:
    pair = design.pair(vote.kind, vote.number)
    return {
        "participant": vote.participant, "position": vote.position, "kind": vote.kind,
        "image": pair.image, "reference": pair.reference, "method": pair.method,
        "opponent": pair.opponent, "preferred": pair.method if vote.for_first else pair.opponent,
        "side": vote.choice, "seconds": vote.seconds,
        "counted": int(vote.kind == "pair" and vote.participant in counted),
    }  # fmt: skip


def _agreement(design: Design, votes: Sequence[Vote]) -> list[dict[str, Any]]:
    """Return agreement between participants by level, of every level first."""
    counts: dict[int, list[int]] = {}
    for vote in votes:
        if vote.kind == "pair":
            counts.setdefault(vote.number, [0, 0])[not vote.for_first] += 1
    rows = []
    for reference in (EVERY, *design.references):
        own = [
            (first, second)
            for number, (first, second) in counts.items()
            if reference in (EVERY, design.pairs[number].reference)
        ]
        rows.append(
            {"reference": reference, "pairs": sum(a + b > 1 for a, b in own),
             "agreement": agreement(own), "alpha": krippendorff(own)}
        )  # fmt: skip
    return rows


def _notes(
    design: Design, votes: Sequence[Vote], people: Sequence[Participant], params: StudyReportParams
) -> list[str]:
    """Return what readers must know, in sentences."""
    failed = [one.participant for one in people if not one.counted]
    pairs = sum(vote.kind == "pair" for vote in votes)
    return [
        f"{len(people)} participants, {pairs} votes on pairs; {len(failed)} participants failed "
        f"the checks, and their votes are not counted.",
        f"A check shows HR and bicubic. Failed has who chose HR in less than "
        f"{params.least_right:.0%} of them.",
        "Repeats and checks are not among the votes of the figure: each pair counts once a "
        "participant.",
        "Bars: share of the votes that prefer the method. Intervals of 95 %: Wilson's, which take "
        "votes for independent; and over participants, whose votes hang together "
        f"({params.resamples} resamples).",
        "Scores: Bradley-Terry's, natural logarithms, mean zero; the odds that one is preferred to "
        "another are exp(difference). Half a vote is added to either side of each pair of methods.",
        "Agreement: share of pairs of votes on the same pictures that agree; alpha: "
        "Krippendorff's, 1 is agreement and 0 is chance.",
        PAPER,
    ]
