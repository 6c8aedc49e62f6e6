"""Making a study, collecting votes and reporting them, with input of any kind."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.config import StudyParams, StudyReportParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.results import read_per_image
from srntt_pipeline.study.collect import collect_votes
from srntt_pipeline.study.design import read_design
from srntt_pipeline.study.make import make_study
from srntt_pipeline.study.report import FILES, study_report
from srntt_pipeline.study.turns import plans


def vote_all(study, folder, chance=0.8):
    """Files of votes by all plans: the method is preferred by `chance`, HR always."""
    design = read_design(study)
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for number, plan in enumerate(plans(design)):
        votes = []
        for turn in plan:
            first = turn.kind == "check" or random.random() < chance
            side = "left" if first == turn.first_left else "right"
            votes.append({"choice": side, "seconds": 1.5})
        content = {"format": "srntt_pipeline votes 1", "study": design.fingerprint,
                   "participant": f"-p{number}", "plan": number, "votes": votes}  # fmt: skip
        (folder / f"{number}.json").write_text(json.dumps(content))
    return design


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_pairs_show_the_pictures_of_one_image_and_reference(results, make, tmp_path):
    design = make(tmp_path / "study")
    assert design.opponents == ["SCN", "Bicubic"]
    assert design.references == ["L1", "L2"]
    assert len(design.pairs) == 2 * 2 * 3
    pictures = {(r["method"], r["reference"], r["image"]): results / r["picture"]
                for r in read_per_image(results / "per_image.csv")}  # fmt: skip
    for pair in design.pairs:
        shown = [tmp_path / "study" / file for file in (pair.first, pair.second)]
        own = pictures["SRNTT", pair.reference, pair.image]
        assert shown[0].read_bytes() == own.read_bytes()
        assert shown[1].read_bytes() == pictures[pair.opponent, "none", pair.image].read_bytes()
    for check in design.checks:
        hr = np.asarray(Image.open(tmp_path / "study" / check.first))
        expected = np.asarray(Image.open(results / "page" / "hr" / f"{check.image}.png"))
        np.testing.assert_array_equal(hr, expected)


def test_the_same_study_is_the_same_bytes(make, tmp_path, contents):
    make(tmp_path / "a")
    make(tmp_path / "b")
    before = contents(tmp_path / "a")
    assert contents(tmp_path / "b") == before
    make(tmp_path / "a")
    assert contents(tmp_path / "a") == before


@pytest.mark.parametrize(
    ("method", "against", "params", "told"),
    [
        ("MDSR", ["SCN"], {}, "--method MDSR"),
        ("SRNTT", ["MDSR"], {}, "--against MDSR"),
        ("SRNTT", ["SRNTT"], {}, "--against SRNTT"),
        ("SRNTT", ["SCN"], {"references": ("L7",)}, "--references L7"),
        ("SRNTT", ["SCN"], {"protocol": "rgb"}, "--protocol rgb"),
    ],
)
def test_what_was_not_evaluated_is_refused(results, tmp_path, method, against, params, told):
    with pytest.raises(InputError, match=told):
        make_study(results, tmp_path / "x", StudyParams(**params), method=method, against=against)
    assert not (tmp_path / "x").exists()


def test_a_study_with_votes_is_not_made_another(make, tmp_path):
    study = tmp_path / "study"
    make(study)
    vote_all(study, tmp_path / "votes")
    collect_votes(study, [tmp_path / "votes"])
    make(study)  # the same
    with pytest.raises(InputError, match="votes of another study"):
        make(study, seed=1)
    assert read_design(study).settings.seed == 0


@pytest.mark.parametrize(
    "change",
    [
        {"study": "0" * 64}, {"participant": "a b"}, {"plan": 99}, {"plan": -1}, {"format": "x"},
        {"votes": [{"choice": "up", "seconds": 1}]}, {"votes": [{"choice": "left"}]},
        {"votes": [{"choice": "left", "seconds": -1}]}, {"more": 1},
        {"votes": [{"choice": "left", "seconds": 1}] * 99},
    ],
)  # fmt: skip
def test_files_that_are_no_votes_are_refused_and_none_is_stored(make, tmp_path, change):
    study = tmp_path / "study"
    make(study)
    vote_all(study, tmp_path / "votes")
    path = tmp_path / "votes" / "3.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=r"3\.json"):
        collect_votes(study, [tmp_path / "votes"])
    assert not (study / "votes.sqlite").exists()


def test_the_report_has_every_number_and_every_file(make, tmp_path, contents):
    study, out = tmp_path / "study", tmp_path / "report"
    make(study, plans=12)
    design = vote_all(study, tmp_path / "votes")
    collect_votes(study, [tmp_path / "votes"])
    shares = study_report(study, out, StudyReportParams(resamples=100))
    assert sorted(FILES) == sorted(path.name for path in out.iterdir() if path.is_file())
    votes = [row for row in rows(out / "votes.csv") if row["counted"] == "1"]
    assert len(votes) == 12 * design.settings.pairs
    for share in shares:
        own = [
            row["preferred"] == "SRNTT" for row in votes
            if share.opponent in (row["opponent"], "(every)")
            and share.reference in (row["reference"], "(every)")
        ]  # fmt: skip
        assert (share.votes, share.preferred) == (len(own), sum(own))
        # Wilson's interval by its formula (1927).
        n, p, z = len(own), sum(own) / len(own), 1.959964
        middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        expected = [(middle + sign * half) / (1 + z * z / n) for sign in (-1, 1)]
        assert [share.low, share.high] == pytest.approx(expected, abs=1e-5)
    assert Image.open(out / "figure6.png").width > 600
    assert (out / "figure6.pdf").read_bytes().startswith(b"%PDF")
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "2,400 votes for each reference level" in page
    assert "'-p0" in (out / "participants.csv").read_text()  # no formula
    before = contents(out)
    study_report(study, out, StudyReportParams(resamples=100))
    assert contents(out) == before


def test_names_of_any_kind_are_only_text(make, tmp_path):
    study, odd = tmp_path / "study", "</script><img src=x onerror=alert(1)> $x^_$"
    make(study)
    content = json.loads((study / "study.json").read_text())
    content["method"] = content["dataset"] = odd
    for pair in content["pairs"]:
        pair["method"], pair["opponent"], pair["image"] = odd, f"=\x1b[2J{pair['opponent']}$", "\n"
    (study / "study.json").write_text(json.dumps(content))
    vote_all(study, tmp_path / "votes")
    collect_votes(study, [tmp_path / "votes"])
    study_report(study, tmp_path / "report", StudyReportParams(resamples=100))
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "\x1b" not in page


@pytest.mark.parametrize("content", [b"", b"not sqlite" * 200, None])
def test_votes_that_cannot_be_read_are_told_in_a_line(make, tmp_path, content):
    study = tmp_path / "study"
    make(study)
    if content is not None:
        (study / "votes.sqlite").write_bytes(content)
    with pytest.raises(InputError, match=r"votes\.sqlite|no vote"):
        study_report(study, tmp_path / "report", StudyReportParams())
    assert not (tmp_path / "report").exists()
