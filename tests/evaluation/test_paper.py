import csv
from collections import defaultdict

import pytest

from srntt_pipeline.evaluation.paper import PaperNumber, canonical_dataset, paper_number
from srntt_pipeline.models import entry


@pytest.mark.parametrize(
    ("dataset", "method", "reference", "references", "psnr_db", "ssim"),
    [
        ("CUFED5", "SRNTT-l2", "L1", 5, 26.15, 0.781),  # Table 2
        ("CUFED5", "SRNTT-l2", "L4", 4, 25.95, 0.774),
        ("CUFED5", "SRNTT-l2", "HR (warp)", 5, 29.29, 0.889),
        ("CUFED5", "SRNTT-l2", "LR", 5, 25.91, 0.776),
        ("CUFED5", "SRNTT-l2", "all", 4, 26.24, 0.784),  # Table 1
        ("CUFED5", "SRNTT-l2", "paper-all", 5, 26.24, 0.784),
        ("CUFED5", "SRNTT-l2 (SISR)", "none", 5, 25.91, 0.776),
        ("CUFED5", "Bicubic", "none", 5, 24.18, 0.684),
        ("Urban100", "Bicubic", "none", 0, 23.14, 0.674),
        ("Urban100", "SRNTT-l2 (SISR)", "none", 0, 25.50, 0.783),
        ("Urban100", "SRNTT-l2", "LR", 0, 25.50, 0.783),
        ("Sun80", "Bicubic", "none", 0, 27.24, 0.739),
        ("Sun80", "SRNTT-l2", "all", 20, 28.54, 0.793),
    ],
)
def test_numbers_of_the_paper_are_found(dataset, method, reference, references, psnr_db, ssim):
    assert paper_number(dataset, method, reference, references) == PaperNumber(psnr_db, ssim)


@pytest.mark.parametrize(
    ("dataset", "method", "reference", "references"),
    [
        ("demo", "Bicubic", "none", 4),
        ("demo", "SRNTT-l2", "L1", 4),
        ("CUFED5", "SRNTT-l2", "L5", 5),
        ("CUFED5", "SRNTT-l2", "all", 5),  # of five references, where the paper has four
        ("CUFED5", "SRNTT-l2", "stitched", 5),
        ("CUFED5", "no such method", "all", 4),
        ("Urban100", "SRNTT-l2", "HR (warp)", 0),
        ("Urban100", "SRNTT-l2", "LR", 4),
    ],
)
def test_what_the_paper_does_not_print_is_none(dataset, method, reference, references):
    assert paper_number(dataset, method, reference, references) is None


def test_numbers_without_ssim_have_none():
    assert paper_number("CUFED5", "SRNTT [relu1]", "L1", 4) == PaperNumber(24.76, None)


def test_every_row_of_the_papers_tables_is_found(shared):
    rows = (shared / "paper" / "paper_tables.csv").read_text().splitlines()
    printed = defaultdict(set)
    for row in csv.DictReader(rows):
        ssim = float(row["ssim"]) if row["ssim"] else None
        key = row["dataset"], row["method"], row["reference"]
        printed[key].add(PaperNumber(float(row["psnr_db"]), ssim))
    assert len(printed) > 80
    for key, numbers in printed.items():
        assert {paper_number(*key, references=4)} == numbers


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("cufed5", "CUFED5"),
        ("urban100", "Urban100"),
        ("URBAN100", "Urban100"),
        ("sun80", "Sun80"),
        ("Sun80", "Sun80"),
        ("demo", "demo"),
        ("My Photos", "My Photos"),
    ],
)
def test_names_of_the_papers_data_sets_are_spelt_as_there(name, canonical):
    assert canonical_dataset(name) == canonical


def test_networks_without_references_fill_rows_of_table_1():
    networks = {name: entry(name).row for name in ("drcn", "enet", "lapsrn", "mdsr", "scn")}
    networks |= {name: entry(name).row for name in ("srcnn", "srgan")}
    for row in networks.values():
        assert paper_number("CUFED5", row, "none", 5) is not None, row
    assert paper_number("CUFED5", entry("mdsr").row, "none", 5) == PaperNumber(25.93, 0.777)
    assert paper_number("CUFED5", entry("enet-e").row, "none", 5) is None
