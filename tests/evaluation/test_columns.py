"""One layout: the same cells in Markdown, LaTeX and HTML."""

import re
from html.parser import HTMLParser

import pytest

from srntt_pipeline.evaluation.columns import COLUMNS, DATASET, PROTOCOL, lay_out
from srntt_pipeline.evaluation.table_formats import html_part, to_html, to_latex, to_markdown

ROWS = [
    {
        "dataset": "CUFED5", "method": "SRNTT [relu1]", "reference": "HR (warp)", "images": 126,
        "psnr_db": 26.245, "psnr_db_low": 26.0, "psnr_db_high": 26.5, "paper_psnr_db": 26.24,
        "ssim": 0.78449, "paper_ssim": 0.784, "published_psnr_db": 25.53, "protocol": "luma",
        "parameters": 71_400, "seconds_per_image": 0.25, "peak_memory_mib": 512.4,
        "lpips": 0.123456, "note": "a & b",
    },
    {
        "dataset": "Urban100", "method": "Bicubic", "reference": "none", "images": "100",
        "psnr_db": "inf", "psnr_db_low": "", "psnr_db_high": None, "paper_psnr_db": "",
        "ssim": "1.0", "protocol": "rgb", "multiply_adds_per_pixel": "",
    },
]  # fmt: skip
HEADINGS = [
    "Data set", "Method", "Reference", "Images", "PSNR (dB)", "paper PSNR", "difference",
    "published PSNR", "SSIM", "paper SSIM", "difference", "PSNR 95 %", "LPIPS", "Parameters",
    "s per image", "Memory (MiB)", "Protocol", "Note",
]  # fmt: skip
CELLS = [
    ["CUFED5", "SRNTT [relu1]", "HR (warp)", "126", "26.25", "26.24", "+0.01", "25.53", "0.7845",
     "0.784", "+0.000", "26.00…26.50", "0.1235", "71.4 k", "0.25", "512", "luma", "a & b"],
    ["Urban100", "Bicubic", "none", "100", "inf", "", "", "", "1.0000", "", "", "", "", "", "",
     "", "rgb", ""],
]  # fmt: skip


class Cells(HTMLParser):
    """The rows of a page's table, and which cells are of words."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
            self.words.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.words[-1].append(dict(attributes).get("class") == "words")
        self.inside = tag in ("td", "th")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if getattr(self, "inside", False):
            self.rows[-1][-1] += data


def in_markdown(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line[1:-1].split(" | ")] for line in lines]
    plain = [[c.replace("\\", "").replace("&amp;", "&") for c in row] for row in cells]
    return plain[:1] + plain[2:]


def in_latex(text):
    body = text.split("\\toprule\n")[1].split("\\bottomrule")[0].replace("\\midrule\n", "")
    return [
        [
            re.sub(r"\{([\[\]])\}|\\", r"\1", cell.strip()).replace("--", "…")
            for cell in line[:-3].split(" & ")
        ]
        for line in body.strip().splitlines()
    ]


def test_the_layout_has_the_cells_and_leaves_out_what_no_row_fills():
    shown = lay_out(ROWS)
    assert [column.heading for column in shown.columns] == HEADINGS
    assert [row[:4] for row in shown.rows] == [tuple(row[:4]) for row in CELLS]
    assert [list(row[5:]) for row in shown.rows] == [row[5:] for row in CELLS]


@pytest.mark.parametrize("without", [(), (DATASET, PROTOCOL)])
def test_markdown_html_and_latex_have_the_same_cells(without):
    shown = lay_out(ROWS, without)
    expected = [[column.heading for column in shown.columns], *map(list, shown.rows)]
    left_out = {column.heading for column in without}
    assert expected[0] == [heading for heading in HEADINGS if heading not in left_out]
    assert Cells(to_html(shown)).rows == expected
    assert in_markdown(to_markdown(shown)) == expected
    assert in_latex(to_latex(shown, "A table", "x", [])) == expected


def test_words_stand_to_the_left_and_numbers_to_the_right():
    shown = lay_out(ROWS)
    words = [column.words for column in shown.columns]
    rules = to_markdown(shown).splitlines()[1].strip("|").split("|")
    assert [rule.strip().startswith(":") for rule in rules] == words
    aligned = re.search(r"\\begin\{tabular\}\{(\w+)\}", to_latex(shown, "A table", "x", []))[1]
    assert [letter == "l" for letter in aligned] == words
    assert all(row == words for row in Cells(to_html(shown)).words)


def test_a_difference_has_the_papers_digits_and_its_sign():
    rows = [{"psnr_db": 24.0, "paper_psnr_db": 24.18, "ssim": 0.7, "paper_ssim": 0.6845}]
    assert lay_out(rows).rows == (("24.00", "24.18", "-0.18", "0.7000", "0.684", "+0.015"),)


def test_no_column_stands_twice():
    assert len(set(COLUMNS)) == len(COLUMNS)


def test_names_of_strangers_are_only_text():
    shown = lay_out([{"method": "<b>x</b> $1% | \n \\input{y}", "psnr_db": 1}])
    page = html_part(shown, "<i>", "t", ["<u>"])
    assert not re.search("<[biu]>", page)
    assert to_markdown(shown).count("\n") == 2
    latex = to_latex(shown, "A_b", "t", ["one\ntwo"])
    assert "\\input" not in latex
    assert "% one\\ntwo" in latex
    assert r"\caption{A\_b}" in latex
