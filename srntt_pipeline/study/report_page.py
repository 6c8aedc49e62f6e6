"""How the report of a study looks: its figure, and its page."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, select_autoescape
from matplotlib.figure import Figure

from srntt_pipeline.evaluation.columns import Column, Shown
from srntt_pipeline.evaluation.table_formats import to_html
from srntt_pipeline.study.agreement import Participant
from srntt_pipeline.study.design import QUESTION, Design
from srntt_pipeline.study.preferences import EVERY, Score, Share
from srntt_pipeline.text import printable, short_name

# The text of section 5.2. The bars of Figure 6 have no numbers in it, so none stand beside ours.
PAPER = (
    "The paper's Figure 6 has bars without numbers. Its text says: 2,400 votes for each reference "
    "level on CUFED5, against SCN, DRCN, MDSR, ENet, SRGAN, Landmark and CrossNet; overall, over "
    "90 % of the users voted for SRNTT."
)
PAPER_SHARE = 0.9  # "over 90% users voting for SRNTT"


def draw(design: Design, shares: Sequence[Share]) -> Figure:
    """Draw Figure 6: a panel for each level, a bar for each opponent, with Wilson's interval."""
    levels = [
        level
        for level in (*design.references, EVERY)
        if any(share.reference == level for share in shares)
    ]
    opponents = design.opponents
    width = max(4.0, 1.0 + 0.75 * len(opponents))
    columns = min(2, len(levels))
    rows = -(-len(levels) // columns)
    figure = Figure(figsize=(width * columns, 2.7 * rows + 0.4), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for axis, level in zip(axes, levels, strict=False):
        own = [s for s in shares if s.reference == level and s.opponent != EVERY]
        heights = [100 * share.share for share in own]
        errors = [[100 * (share.share - share.low) for share in own],
                  [100 * (share.high - share.share) for share in own]]  # fmt: skip
        places = [opponents.index(share.opponent) for share in own]
        axis.bar(places, heights, width=0.65, color="#3b6fb5")
        axis.errorbar(places, heights, errors, fmt="none", ecolor="black", capsize=3, linewidth=1)
        axis.axhline(50, color="grey", linewidth=0.8, linestyle=":")
        if design.method == "SRNTT" and design.dataset == "CUFED5":
            axis.axhline(100 * PAPER_SHARE, color="#b5403b", linewidth=0.8, linestyle="--")
        votes = sum(share.votes for share in own)
        title = "every level" if level == EVERY else short_name(level)
        axis.set(title=f"{title} ({votes} votes)", ylim=(0, 105), xlim=(-0.6, len(opponents) - 0.4))
        names = [short_name(opponent, 16) for opponent in opponents]
        for label in axis.set_xticks(range(len(opponents)), names, rotation=30, ha="right"):
            label.label1.set_parse_math(False)
        axis.grid(axis="y", alpha=0.3)
    for axis in axes[len(levels) :]:
        axis.axis("off")
    figure.supylabel(f"prefer {short_name(design.method)} (%)")
    return figure


def report_page(
    design: Design,
    shares: Sequence[Share],
    scores: Sequence[Score],
    agreed: Sequence[dict[str, Any]],
    people: Sequence[Participant],
    notes: Sequence[str],
) -> str:
    """Return the page `index.html`, which shows `figure6.png` beside it."""
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader("srntt_pipeline.study"), PackageLoader("srntt_pipeline.evaluation")]
        ),
        autoescape=select_autoescape(["html.j2"]),
        keep_trailing_newline=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    tables = {
        "Shares": _table(_SHARES, map(asdict, shares)),
        "Bradley–Terry scores": _table(_SCORES, map(asdict, scores)),
        "Agreement between participants": _table(_AGREEMENT, agreed),
        "Participants": _table(_PARTICIPANTS, map(asdict, people)),
    }
    title = f"{design.dataset}: {design.method} against {', '.join(design.opponents)}"
    return environment.get_template("report.html.j2").render(
        title=title, question=QUESTION, notes=notes, tables=tables
    )


def _table(columns: Sequence[Column], rows: Any) -> str:
    return to_html(
        Shown(tuple(columns), tuple(tuple(column.text(row) for column in columns) for row in rows))
    )


def _words(heading: str, key: str) -> Column:
    return Column(heading, lambda row: str(row[key]), words=True)


def _number(heading: str, key: str, form: str = "d") -> Column:
    return Column(heading, _text(key, form))


def _text(key: str, form: str) -> Callable[[Any], str]:
    return lambda row: "" if row[key] is None else f"{row[key]:{form}}"


def _interval(heading: str, low: str, high: str, form: str) -> Column:
    return Column(
        heading,
        lambda row: "" if row[low] is None else f"{row[low]:{form}}…{row[high]:{form}}",
    )


_LEVEL = _words("Reference", "reference")
_SHARES = (
    _LEVEL,
    _words("Opponent", "opponent"),
    _number("Votes", "votes"),
    _number("Prefer it", "share", ".1%"),
    _interval("Wilson 95 %", "low", "high", ".1%"),
    _interval("Over participants 95 %", "participants_low", "participants_high", ".1%"),
)
_SCORES = (
    _LEVEL,
    _words("Method", "method"),
    _number("Votes", "votes"),
    _number("Score", "score", "+.2f"),
    _interval("Over participants 95 %", "low", "high", "+.2f"),
)
_AGREEMENT = (
    _LEVEL,
    _number("Pairs of two votes or more", "pairs"),
    _number("Agreement", "agreement", ".1%"),
    _number("Alpha", "alpha", ".2f"),
)
_PARTICIPANTS = (
    _words("Participant", "participant"),
    Column("Counted", lambda row: "yes" if row["counted"] else "failed the checks", words=True),
    _number("Votes", "votes"),
    _number("Checks", "checks"),
    _number("Right", "checks_right", ".0%"),
    _number("Repeats", "repeats"),
    _number("Same again", "same_again", ".0%"),
    _number("With the others", "with_others", ".0%"),
    _number("Left", "left", ".0%"),
    _number("Seconds (median)", "seconds", ".1f"),
)
