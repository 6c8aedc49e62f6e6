"""Turns and votes of a study in an SQLite file, which survives whatever ends the server.

A turn is a row: what a participant was shown, and the vote once it is there. A vote fills its row,
once, so none can be stored twice. Each is on disk (WAL, `synchronous=FULL`) before it is confirmed.
"""

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from srntt_pipeline.errors import InputError, first_problem
from srntt_pipeline.study.design import VOTES, Design, Kind, Part, Side
from srntt_pipeline.study.turns import Balance, Turn, next_turn

FILES = (VOTES, f"{VOTES}-wal", f"{VOTES}-shm")
PARTICIPANT = r"^[A-Za-z0-9._-]{1,64}$"
LONGEST_S = 86_400.0  # a day: longest time that a vote is said to have taken
_COLLECTED = 0.0  # instead of when a turn was shown: by a page without a server
_OPEN_S = 600.0  # a turn without a vote counts as shown for so long
_COLUMNS = "participant, position, kind, number, first_left, choice, seconds"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS study (fingerprint TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS turn (
    participant TEXT NOT NULL, position INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('pair', 'repeat', 'check')),
    number INTEGER NOT NULL, first_left INTEGER NOT NULL CHECK (first_left IN (0, 1)),
    shown REAL NOT NULL,
    choice TEXT CHECK (choice IN ('left', 'right')), seconds REAL,
    PRIMARY KEY (participant, position), UNIQUE (participant, kind, number)
);
"""


class Refused(Exception):  # noqa: N818 - it reads as what happened
    """What a participant asked for cannot be; the text says why."""


class Vote(Part):
    """A turn that was voted on, as the file has it."""

    participant: str = Field(pattern=PARTICIPANT)
    position: int = Field(ge=0)
    kind: Kind
    number: int = Field(ge=0)
    first_left: bool
    choice: Side
    seconds: float = Field(ge=0, le=LONGEST_S)

    @property
    def for_first(self) -> bool:
        """Whether the pair's first picture was chosen."""
        return (self.choice == "left") == self.first_left


@dataclass(frozen=True)
class Shown:
    """A turn as the page asks it: its position, of how many, and the pictures' files."""

    position: int
    turns: int
    left: str
    right: str


class Store:
    """The votes of one study, to be written by one process, from any of its threads."""

    def __init__(self, path: Path, design: Design) -> None:
        """Open or make the file; raise InputError where it holds votes of another study."""
        check_same_study(path, design)
        self._design, self._lock = design, threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)
        with self._transaction():
            if not self._db.execute("SELECT 1 FROM study").fetchone():
                self._db.execute("INSERT INTO study VALUES (?)", [design.fingerprint])
        # Turns without a vote yet, the oldest first: until when they count as shown.
        self._open: dict[tuple[str, int], tuple[float, int]] = {}
        shown: Counter[int] = Counter()
        query = "SELECT participant, position, number, shown, choice FROM turn WHERE kind = 'pair'"
        now = time.time()
        for participant, position, number, at, choice in self._db.execute(
            f"{query} ORDER BY shown"
        ):
            if choice is not None:
                shown[number] += 1
            elif at > now - _OPEN_S:
                shown[number] += 1
                self._open[participant, position] = (at + _OPEN_S, number)
        self._balance = Balance(design, shown)
        (self._participants,) = self._db.execute(
            "SELECT COUNT(DISTINCT participant) FROM turn"
        ).fetchone()

    def close(self) -> None:
        """Close the file; what was confirmed is in it."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def next(self, participant: str) -> Shown | None:
        """Return the participant's turn: the same until it is voted on; None after the last.

        Raises Refused where there are too many participants.
        """
        with self._lock:
            return self._next(participant)

    def vote(self, participant: str, position: int, choice: Side, seconds: float) -> Shown | None:
        """Store a vote, and return the next turn as `next` does.

        The first vote on a turn is kept: the same again, as after a lost answer, or another changes
        nothing. Raises Refused for a turn that the participant was not shown.
        """
        with self._lock:
            key = (participant, position)
            row = self._db.execute(
                "SELECT kind, number, choice FROM turn WHERE participant = ? AND position = ?", key
            ).fetchone()
            if row is None:
                raise Refused("this turn was not shown to this participant")
            kind, number, known = row
            if known is None:
                with self._transaction():
                    self._db.execute(
                        "UPDATE turn SET choice = ?, seconds = ? "
                        "WHERE participant = ? AND position = ? AND choice IS NULL",
                        (choice, seconds, *key),
                    )
                if kind == "pair" and self._open.pop(key, None) is None:
                    self._balance.add(number)  # it had waited too long to count
            return self._next(participant)

    def _next(self, participant: str) -> Shown | None:
        rows = self._db.execute(
            "SELECT kind, number, first_left, choice, shown FROM turn WHERE participant = ? "
            "ORDER BY position",
            [participant],
        ).fetchall()
        if rows and rows[0][4] == _COLLECTED:
            raise Refused("this participant has voted on the page without a server")
        before = [Turn(kind, number, bool(left)) for kind, number, left, _, _ in rows]
        if rows and rows[-1][3] is None:
            return self._shown(before[-1], len(rows) - 1)
        if not rows and self._participants >= self._design.settings.most_participants:
            raise Refused("the study takes no more participants")
        now = time.time()
        self._forget_before(now)
        turn = next_turn(self._design, participant, before, self._balance)
        if turn is None:
            return None
        position = len(rows)
        with self._transaction():
            self._insert(participant, position, turn, now, None, None)
        self._participants += not rows
        if turn.kind == "pair":
            self._balance.add(turn.number)
            self._open[participant, position] = (now + _OPEN_S, turn.number)
        return self._shown(turn, position)

    def _forget_before(self, now: float) -> None:
        """Count turns that have waited too long for a vote as not shown."""
        for key, (until, number) in list(self._open.items()):
            if until > now:
                return
            del self._open[key]
            self._balance.add(number, -1)

    def _insert(
        self, participant: str, position: int, turn: Turn, at: float,
        choice: Side | None, seconds: float | None,
    ) -> None:  # fmt: skip
        self._db.execute(
            f"INSERT INTO turn ({_COLUMNS}, shown) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (participant, position, turn.kind, turn.number, turn.first_left, choice, seconds, at),
        )

    def _shown(self, turn: Turn, position: int) -> Shown:
        return Shown(position, self._design.settings.turns, *turn.files(self._design))

    def add_all(
        self, participant: str, turns: Sequence[Turn], given: Sequence[tuple[Side, float]]
    ) -> int:
        """Store the votes of one participant on the first of `turns`; return how many were new.

        Those that are there already must be the same. Raises Refused, and stores none, otherwise.
        """
        with self._lock, self._transaction():
            new = 0
            for position, (turn, (choice, seconds)) in enumerate(zip(turns, given, strict=False)):
                known = self._db.execute(
                    "SELECT kind, number, first_left, choice, shown FROM turn "
                    "WHERE participant = ? AND position = ?",
                    (participant, position),
                ).fetchone()
                if known is None:
                    self._insert(participant, position, turn, _COLLECTED, choice, seconds)
                    new += 1
                elif known != (turn.kind, turn.number, turn.first_left, choice, _COLLECTED):
                    raise Refused(f"participant {participant} has other votes already")
            return new


def check_same_study(path: Path, design: Design) -> None:
    """Raise InputError where `path` is there and holds votes of another study than `design`."""
    if path.exists():
        read_votes(path, design)


def read_votes(path: Path, design: Design) -> list[Vote]:
    """Return all votes in the order of participant and turn; a server may be writing meanwhile.

    The file may come from elsewhere: each row is checked. Raises InputError.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: no votes yet; user-study serve or collect writes it")
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA trusted_schema=OFF")
            db.execute("PRAGMA query_only=ON")
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'study'").fetchone():
                return []  # of a server that was killed before it had made its tables
            own = db.execute("SELECT fingerprint FROM study").fetchone()
            if own and own[0] != design.fingerprint:
                raise InputError(
                    f"{path} holds votes of another study; make this one in another folder"
                )
            query = f"SELECT {_COLUMNS} FROM turn WHERE choice IS NOT NULL"
            rows = db.execute(f"{query} ORDER BY participant, position").fetchall()
        names = _COLUMNS.split(", ")
        votes = [Vote.model_validate(dict(zip(names, row, strict=True))) for row in rows]
        for vote in votes:
            design.pair(vote.kind, vote.number)
    except ValidationError as error:
        raise InputError(f"{path}: not votes of ours ({first_problem(error)})") from None
    except (sqlite3.Error, IndexError) as error:
        raise InputError(f"{path}: not a file of votes ({error}); restore it from a copy") from None
    return votes
