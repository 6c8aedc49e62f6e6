"""Making a study: pairs of pictures out of the folder of an evaluation."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from srntt_pipeline.config import StudyParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.paths import PER_IMAGE
from srntt_pipeline.evaluation.previews import hr_path
from srntt_pipeline.evaluation.results import read_per_image
from srntt_pipeline.files import json_bytes, sha256, write_bytes
from srntt_pipeline.images import decode, read_bytes
from srntt_pipeline.methods.method import NONE, reference_rank
from srntt_pipeline.outputs import open_output
from srntt_pipeline.study import design as parts
from srntt_pipeline.study.design import BICUBIC, HR, MOST_PAIRS, Design, Pair, Settings
from srntt_pipeline.study.page import static_page
from srntt_pipeline.study.store import check_same_study

log = logging.getLogger(__name__)

Row = Mapping[str, Any]


def make_study(
    results: Path, study: Path, params: StudyParams, *, method: str, against: Sequence[str]
) -> Design:
    """Write a study of `method` against others to the folder `study`; return its design.

    `results`: a folder that evaluate wrote; `against`: opponents as its tables call them. Writes
    `study.json`, `pictures/` (named by their hash, so that a name tells no method) and
    `index.html`, the page that works without a server. A pair is left out, with a line in the log,
    where its pictures are equal. Raises InputError, as where votes of another study lie there.
    """
    maker = _Maker(results, params, method, against)
    design = maker.design()
    with open_output(study, "study", reads=[results]) as output:
        check_same_study(study / parts.VOTES, design)
        files = {name: maker.contents[name] for name in design.files}
        output.claim(map(Path, [parts.STUDY, parts.PAGE, *files]))
        for name, path in files.items():
            write_bytes(study / name, read_bytes(path))
        write_bytes(study / parts.STUDY, json_bytes(design.model_dump(mode="json")))
        write_bytes(study / parts.PAGE, static_page(design).encode())
        output.remove_others(map(Path, files), [parts.PICTURES])
    log.info(
        "Wrote %s: %d pairs against %s, %d checks; %d turns a participant; %s works without a "
        "server",
        study / parts.STUDY,
        len(design.pairs),
        ", ".join(design.opponents),
        len(design.checks),
        design.settings.turns,
        study / parts.PAGE,
    )
    return design


class _Maker:
    """The pairs of a study, from the rows of per_image.csv."""

    def __init__(
        self, results: Path, params: StudyParams, method: str, against: Sequence[str]
    ) -> None:
        self.results, self.params, self.method = results, params, method
        self.against = list(dict.fromkeys(against))
        self.contents: dict[str, Path] = {}  # where the file of each picture is
        self._sizes: dict[str, tuple[int, int]] = {}
        self._pixels: dict[str, str] = {}
        self._known: dict[Path, str] = {}
        every = read_per_image(results / PER_IMAGE)
        self.dataset = str(every[0]["dataset"])
        protocols = list(dict.fromkeys(row["protocol"] for row in every))
        protocol = params.protocol or protocols[0]
        if protocol not in protocols:
            raise InputError(
                f"--protocol {protocol}: {results} was measured by {', '.join(protocols)}"
            )
        self.rows = {
            (row["method"], row["reference"], row["image"]): row
            for row in every
            if row["protocol"] == protocol
        }
        self.methods = list(dict.fromkeys(name for name, _, _ in self.rows))

    def design(self) -> Design:
        """Return the study. Raises InputError."""
        for option, name in (("--method", self.method), *(("--against", n) for n in self.against)):
            if name not in self.methods:
                raise InputError(
                    f"{option} {name}: {self.results} has {', '.join(self.methods)}; evaluate it "
                    "first"
                )
        if self.method in self.against:
            raise InputError(f"--against {self.method}: this is what --method names")
        pairs = [pair for level in self._references() for pair in self._pairs(level)]
        if not pairs:
            raise InputError(
                f"{self.results}: no image has pictures of {self.method} and of "
                f"{', '.join(self.against)}; evaluate them in one run"
            )
        if len(pairs) > MOST_PAIRS:
            raise InputError(
                f"{len(pairs):,} pairs, more than {MOST_PAIRS:,}; name fewer --references"
            )
        checks = self._checks() if self.params.checks else []
        settings = self._settings(len(pairs), len(checks))
        return Design(
            format="srntt_pipeline user study 1", dataset=self.dataset, method=self.method,
            settings=settings, pairs=tuple(pairs), checks=tuple(checks),
        )  # fmt: skip

    def _settings(self, pairs: int, checks: int) -> Settings:
        """Return how many turns a participant has: as asked for, or as many as there are."""
        params = self.params
        shown = min(params.pairs, pairs)
        repeats = min(params.repeats, shown // 3)
        asked = (params.pairs, params.repeats, params.checks)
        found = (shown, repeats, min(params.checks, checks))
        if found != asked:
            log.info("A participant sees %d pairs, %d repeats, %d checks: there are no more",
                     *found)  # fmt: skip
        return Settings(
            pairs=found[0], repeats=found[1], checks=found[2], plans=params.plans,
            most_participants=params.most_participants, seed=params.seed,
        )  # fmt: skip

    def _references(self) -> list[str]:
        there = {reference for name, reference, _ in self.rows if name == self.method}
        if strange := [name for name in self.params.references if name not in there]:
            raise InputError(
                f"--references {strange[0]}: {self.method} was evaluated with "
                f"{', '.join(sorted(there, key=reference_rank))}"
            )
        wanted = self.params.references or there
        return sorted(dict.fromkeys(wanted), key=reference_rank)

    def _pairs(self, reference: str) -> list[Pair]:
        pairs = []
        images = [i for name, level, i in self.rows if (name, level) == (self.method, reference)]
        for opponent in self.against:
            for image in images:
                # An opponent that takes no references is the same at each level.
                keys = ((opponent, reference, image), (opponent, NONE, image))
                other = next((self.rows[key] for key in keys if key in self.rows), None)
                if other is not None:
                    own = self.rows[self.method, reference, image]
                    files = self._file(own["picture"]), self._file(other["picture"])
                    pairs += self._pair(image, reference, self.method, opponent, *files)
        return pairs

    def _checks(self) -> list[Pair]:
        """Return HR against bicubic, for each image that is in the study."""
        checks = []
        for image in dict.fromkeys(image for name, _, image in self.rows if name == self.method):
            row = self.rows.get((BICUBIC, NONE, image))
            hr = hr_path(image)
            if row is not None and (self.results / hr).exists():
                files = self._file(hr.as_posix()), self._file(row["picture"])
                checks += self._pair(image, NONE, HR, BICUBIC, *files)
        if not checks:
            raise InputError(
                f"{self.results}: no image has both HR (page/hr) and bicubic, which checks "
                "compare; evaluate again, or give --checks 0"
            )
        return checks

    def _pair(
        self, image: str, reference: str, method: str, opponent: str, first: str, second: str
    ) -> list[Pair]:
        """Return the pair; none where the pictures are equal or of unequal size."""
        if self._pixels[first] == self._pixels[second]:
            log.warning("%s, %s: the pictures of %s and %s are equal; the pair is left out",
                        image, reference, method, opponent)  # fmt: skip
            return []
        if self._sizes[first] != self._sizes[second]:
            raise InputError(
                f"{self.results}: pictures of {image} by {method} and {opponent} differ in size; "
                "evaluate again, with one protocol"
            )
        return [Pair(image=image, reference=reference, method=method, opponent=opponent,
                     first=first, second=second)]  # fmt: skip

    def _file(self, name: str) -> str:
        """Return the study's name of a picture below the evaluation's folder, once decoded."""
        path = self.results / name
        if path not in self._known:
            if not path.resolve().is_relative_to(self.results.resolve()):
                raise InputError(f"{self.results / PER_IMAGE}: {name} lies outside of the folder")
            content = read_bytes(path)
            pixels = decode(content, path, grey=True)
            file = f"{parts.PICTURES}/{sha256(content)}.png"
            self._known[path], self.contents[file] = file, path
            self._sizes[file] = (pixels.shape[0], pixels.shape[1])
            self._pixels[file] = sha256(pixels.tobytes())
        return self._known[path]
