"""Published numbers, held against ../shared/methods.md, from which they are taken."""

import re
from collections import Counter

import pytest

from srntt_pipeline.evaluation.paper import PaperNumber, paper_rows
from srntt_pipeline.evaluation.protocols import PROTOCOLS
from srntt_pipeline.evaluation.published import published_number, published_rows


@pytest.fixture(scope="module")
def told(shared):
    return (shared / "methods.md").read_text(encoding="utf-8")


def test_methods_before_the_paper_have_the_numbers_that_others_quote(told):
    lines = {
        match[1]: match[2]
        for match in re.finditer(r"^\| \*\*(\w+)\*\* .*\| ([^|]*)\|$", told, re.MULTILINE)
    }
    quoted = {
        method: [float(number) for number in match.groups()]
        for method, text in lines.items()
        # LapSRN's second number is the paper's; SRGAN's and ENet's are the paper's alone.
        if (match := re.match(r"([0-9.]+) / ([0-9.]+)", text)) and "in the paper" not in text
    }
    assert set(quoted) == {"SRCNN", "DRCN", "LapSRN"}
    selfex = re.search(r"Published on Urban100 ×4: ([0-9.]+) / ([0-9.]+)", told)
    quoted["SelfEx"] = [float(number) for number in selfex.groups()]
    ours = {
        row.method: [row.number.psnr_db, row.number.ssim]
        for row in published_rows()
        if row.dataset == "Urban100"
    }
    assert ours == quoted


def test_methods_after_the_paper_have_the_numbers_of_the_table(told):
    table = told.split("## After SRNTT")[1].split("\n\n")[1]
    expected = Counter()
    for line in table.splitlines()[2:]:
        method, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        for variant, cell in zip(("reconstruction", "all losses"), cells[:2], strict=True):
            psnr, ssim = re.match(r"([0-9.]+) / ([0-9.]+)", cell).groups()
            expected[method.split()[0], variant, float(psnr), float(ssim)] += 1
        if alone := re.search(r"L1 alone ([0-9.]+)", cells[2]):
            expected[method.split()[0], "reconstruction", float(alone[1]), None] += 1
    assert expected == Counter(
        (row.method, row.variant, row.number.psnr_db, row.number.ssim)
        for row in published_rows()
        if row.dataset == "CUFED5"
    )


def test_each_row_says_whose_it_is_and_how_it_was_measured():
    methods = {row.method for row in paper_rows()}
    for row in published_rows():
        assert row.source
        assert row.measured
        assert row.source in row.words
        assert row.measured in row.words
        assert row.protocol in ("", *PROTOCOLS)
        if row.protocol:
            assert PROTOCOLS[row.protocol].border_px == (4 if "4 px cut" in row.measured else 0)
            assert PROTOCOLS[row.protocol].channel == "luma"
        assert (row.dataset == "Urban100") == (row.method in methods)


def test_numbers_are_found_by_the_name_in_tables():
    lapsrn = published_number("Urban100", "LapSRN")
    assert lapsrn.number == PaperNumber(25.21, 0.756)
    assert published_number("CUFED5", "TTSR").variant == "all losses"
    assert published_number("CUFED5", "TTSR-rec").reference == "stitched"
    assert published_number("CUFED5", "MASA-rec").reference == "stitched-masa"
    assert published_number("CUFED5", "TTSR-rec", "L1").number == PaperNumber(26.99, None)
    for nothing in (("CUFED5", "LapSRN"), ("CUFED5 (own)", "TTSR"), ("CUFED5", "TTSR", "L3")):
        assert published_number(*nothing) is None
