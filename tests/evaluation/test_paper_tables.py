import csv
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from srntt_pipeline.config import TablesParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.costs import COST_NOTE, write_costs
from srntt_pipeline.evaluation.paper import paper_rows
from srntt_pipeline.evaluation.paper_tables import paper_tables
from srntt_pipeline.evaluation.protocols import PROTOCOLS
from srntt_pipeline.evaluation.table_rows import COLUMNS, PUBLISHED_COLUMNS
from srntt_pipeline.files import MARK, csv_bytes, write_bytes, write_json

TABLES = ("table1", "table2", "table3", "figure7")
REFERENCES = ("HR (warp)", "L1", "L2", "L3", "L4", "LR", "all")


def save_results(
    folder, dataset, numbers, images=12, protocols=("luma",), refs=4, noise=0.05, not_run=(),
    costs=(), given_lr=False,
):  # fmt: skip
    """Write what evaluate would, with PSNR by (method, reference), scattered alike by image.

    `not_run`: (method, reference, image, reason); `costs`: rows of costs.csv;
    `given_lr`: of LR images that came with the test set.
    """
    difficulty = np.random.default_rng(0).normal(0, 3, images)
    rows = []
    for k in range(images):
        for known in (PROTOCOLS[protocol] for protocol in protocols):
            for number, ((method, reference), psnr) in enumerate(numbers.items()):
                own = np.random.default_rng([k, number]).normal(0, noise)
                rows.append(
                    {
                        "dataset": dataset,
                        "image": f"{k:03}",
                        "method": method,
                        "reference": reference,
                        **(known.with_given_lr() if given_lr else known).columns,
                        "reference_images": refs,
                        "psnr_db": round(psnr + difficulty[k] + own, 7),
                        "ssim": round(0.7 + psnr / 1000, 7),
                        "picture": "images/x.png",
                    }
                )
    write_bytes(folder / "per_image.csv", csv_bytes(list(rows[0]), rows))
    notes = {"dataset": dataset, "notes": [f"{len(numbers)} numbers, by <hand> & 50 %."]}
    keys = ("method", "reference", "image", "reason")
    if not_run:
        notes["not_run"] = [dict(zip(keys, one, strict=True)) for one in not_run]
    write_json(folder / "notes.json", notes)
    if costs:
        write_costs(folder / "costs.csv", costs)
    return folder


def falling(method, best, step):
    return {(method, reference): best - step * k for k, reference in enumerate(REFERENCES)}


@pytest.fixture
def cufed(tmp_path):
    numbers = {("Bicubic", "none"): 24.0, ("SRNTT-l2 (SISR)", "none"): 25.0}
    numbers |= falling("SRNTT-l2", 27, 0.5)
    return save_results(tmp_path / "cufed5", "CUFED5", numbers, protocols=("luma", "rgb"))


@pytest.fixture
def urban(tmp_path):
    numbers = {
        ("Bicubic", "none"): 23.0,
        ("SRNTT-l2 (SISR)", "none"): 25.4,
        ("SRNTT-l2", "LR"): 25.4,
    }
    return save_results(
        tmp_path / "urban", "Urban100", numbers, 4, ("luma", "paper-urban100"), refs=0
    )  # fmt: skip


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def assemble(out, *folders, **params):
    paper_tables(folders, out, TablesParams(**params))
    return {name: rows(out / f"{name}.csv") for name in TABLES}


def find(table, **keys):
    found = [row for row in table if all(row[key] == value for key, value in keys.items())]
    assert len(found) == 1, (keys, found)
    return found[0]


def means(folder, **keys):
    own = [r for r in rows(folder / "per_image.csv") if all(r[k] == v for k, v in keys.items())]
    return (np.mean([float(row[name]) for row in own]) for name in ("psnr_db", "ssim"))


def test_every_number_of_the_paper_stands_in_its_table(tmp_path, cufed, shared):
    tables = assemble(tmp_path / "out", cufed)
    printed = rows(shared / "paper" / "paper_tables.csv")
    for paper, name in zip(("1", "2", "3", "fig7"), TABLES, strict=True):
        own = [row for row in printed if row["table"] == paper]
        assert {(r["dataset"], r["method"], r["reference"]) for r in tables[name]} == {
            (r["dataset"], r["method"], r["reference"]) for r in own
        }
        for row in own:
            ours = [r for r in tables[name] if all(
                r[k] == row[k] for k in ("dataset", "method", "reference"))]  # fmt: skip
            for found in ours:
                assert float(found["paper_psnr_db"]) == float(row["psnr_db"])
                assert (found["paper_ssim"] or "") == (
                    str(float(row["ssim"])) if row["ssim"] else ""
                )


def test_ours_stands_beside_the_papers_with_the_difference(tmp_path, cufed):
    tables = assemble(tmp_path / "out", cufed)
    for table, reference, paper in (("table1", "all", 26.24), ("table2", "L3", 25.98)):
        for protocol in ("luma", "rgb"):
            row = find(tables[table], dataset="CUFED5", method="SRNTT-l2", reference=reference,
                       protocol=protocol)  # fmt: skip
            psnr, ssim = means(cufed, method="SRNTT-l2", reference=reference, protocol=protocol)
            assert float(row["psnr_db"]) == pytest.approx(psnr, abs=1e-4)
            assert float(row["psnr_db_difference"]) == pytest.approx(psnr - paper, abs=2e-4)
            assert float(row["ssim"]) == pytest.approx(ssim, abs=1e-5)
            assert float(row["psnr_db_low"]) < psnr < float(row["psnr_db_high"])
            assert "12 of 126 images" in row["note"]


def test_methods_without_references_and_sets_without_them_are_found(tmp_path, cufed, urban):
    table = assemble(tmp_path / "out", cufed, urban)["table1"]
    bicubic = find(table, dataset="CUFED5", method="Bicubic", protocol="luma")
    assert float(bicubic["psnr_db"]) == pytest.approx(24, abs=3)
    alone = find(table, dataset="Urban100", method="SRNTT-l2", protocol="paper-urban100")
    (psnr, _) = means(urban, method="SRNTT-l2", protocol="paper-urban100")
    assert float(alone["psnr_db"]) == pytest.approx(psnr, abs=1e-4)
    assert "LR is its own" in alone["note"]
    assert "LR is its own" not in find(table, dataset="CUFED5", method="SRNTT-l2",
                                       protocol="luma")["note"]  # fmt: skip


def test_every_cell_that_is_empty_says_why(tmp_path, cufed, urban):
    tables = assemble(tmp_path / "out", cufed, urban)
    for table in tables.values():
        assert all(row["psnr_db"] or row["note"] for row in table)
    reasons = {
        ("table1", "Sun80", "SRNTT-l2", "all"): "Sun80 was not evaluated",
        ("table1", "CUFED5", "SRCNN", "all"): "SRCNN was not evaluated on CUFED5",
        ("table1", "Urban100", "SRNTT", "all"): "SRNTT was not evaluated on Urban100",
        ("table2", "CUFED5", "CrossNet", "L1"): "CrossNet was not evaluated on CUFED5",
        ("table3", "CUFED5", "SRNTT [relu1]", "HR"): "SRNTT [relu1] was not evaluated on CUFED5",
        ("table3", "CUFED5", "SRNTT [relu1/2/3]", "HR"): "SRNTT was not evaluated on CUFED5",
    }
    for (table, dataset, method, reference), reason in reasons.items():
        row = find(tables[table], dataset=dataset, method=method, reference=reference)
        assert row["note"] == reason
        assert row["psnr_db"] == row["protocol"] == row["psnr_db_difference"] == ""


def test_a_reference_that_was_left_out_is_named(tmp_path):
    numbers = {key: psnr for key, psnr in falling("SRNTT", 27, 0.1).items() if key[1] != "L3"}
    tables = assemble(tmp_path / "out", save_results(tmp_path / "r", "CUFED5", numbers))
    row = find(tables["table2"], method="SRNTT", reference="L3")
    assert row["note"] == "not evaluated with reference L3"


def test_what_the_paper_calls_by_two_names_is_one_method(tmp_path):
    folder = save_results(tmp_path / "r", "CUFED5", falling("SRNTT", 30, 0.5))
    tables = assemble(tmp_path / "out", folder)
    warped = find(tables["table2"], method="SRNTT", reference="HR (warp)")["psnr_db"]
    row = find(tables["table3"], method="SRNTT [relu1/2/3]", reference="HR")
    assert row["psnr_db"] == warped
    together = find(tables["table1"], dataset="CUFED5", method="SRNTT")["psnr_db"]
    assert find(tables["figure7"], method="SRNTT with texture loss")["psnr_db"] == together
    assert find(tables["figure7"], method="SRNTT without texture loss")["psnr_db"] == ""


def test_data_sets_that_the_paper_lacks_have_rows_of_their_own(tmp_path):
    numbers = {("Bicubic", "none"): 24.0} | falling("SRNTT-l2", 27, 0.5)
    tables = assemble(tmp_path / "out", save_results(tmp_path / "demo", "demo", numbers))
    own = [row for row in tables["table2"] if row["dataset"] == "demo"]
    assert [row["reference"] for row in own] == ["HR (warp)", "L1", "L2", "L3", "L4", "LR"]
    assert all(row["psnr_db"] and not row["paper_psnr_db"] for row in own)
    own = [row for row in tables["table1"] if row["dataset"] == "demo"]
    assert [(row["method"], row["reference"]) for row in own] == [
        ("Bicubic", "none"), ("SRNTT-l2", "all"),
    ]  # fmt: skip


def test_where_psnr_does_not_fall_from_level_to_level_it_is_said(tmp_path):
    psnr = dict(zip(REFERENCES, (27, 26, 26.001, 26.5, 25.9, 25.0, 26.6), strict=True))
    numbers = {("SRNTT-l2", reference): value for reference, value in psnr.items()}
    table = assemble(tmp_path / "out", save_results(tmp_path / "demo", "demo", numbers))["table2"]
    notes = {row["reference"]: row["note"] for row in table if row["dataset"] == "demo"}
    assert notes == {
        "HR (warp)": "",
        "L1": "",
        "L2": "no clear difference from L1",
        "L3": "above L2",
        "L4": "",
        "LR": "",
    }


def html_tables(path):
    """Return the tables of an HTML fragment, each as lists of cells with the headings first."""
    page = ElementTree.fromstring(f"<x>{path.read_text()}</x>")
    return [
        [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
        for table in page.iter("table")
    ]


def latex_rows(text):
    """Return the cells of all tables of a LaTeX text, without headings, as they read."""
    bodies = [part.split("\\bottomrule")[0] for part in text.split("\\midrule\n")[1:]]
    lines = [line for body in bodies for line in body.strip().splitlines()]
    plain = [re.sub(r"\\textbf\{(.*?)\}", r"\1", line[:-3]) for line in lines]
    return [
        [re.sub(r"\{([\[\]])\}|\\", r"\1", c.strip()).replace("--", "…")
         for c in line.split(" & ")] for line in plain
    ]  # fmt: skip


def test_markdown_latex_and_html_show_the_protocol_nearest_to_the_papers(tmp_path, cufed, urban):
    tables = assemble(tmp_path / "out", cufed, urban)
    (names, *ours), (_, *others) = html_tables(tmp_path / "out" / "table1.html")
    protocol = names.index("Protocol")
    assert {(row[0], row[protocol]) for row in ours} == {
        ("CUFED5", "luma"), ("Urban100", "paper-urban100"),
    }  # fmt: skip
    cells = [list(row.values()) for row in markdown_rows(tmp_path / "out" / "table1.md")]
    assert cells == [*ours, *others]
    assert latex_rows((tmp_path / "out" / "table1.tex").read_text()) == cells
    row = find(tables["table1"], dataset="CUFED5", method="SRNTT-l2", protocol="luma")
    (shown,) = (c for c in cells if c[:2] == ["CUFED5", "SRNTT-l2"])
    assert shown[4] == f"{float(row['psnr_db']):.2f}"
    assert shown[5:7] == ["26.24", f"{float(row['psnr_db_difference']):+.2f}"]


def test_rows_of_ours_come_first_and_no_column_of_them_is_empty(tmp_path, cufed, urban):
    tables = assemble(tmp_path / "out", urban, cufed)
    for name, table in tables.items():
        is_ours = [row["psnr_db"] != "" for row in table]
        assert is_ours == sorted(is_ours, reverse=True)
        parts = html_tables(tmp_path / "out" / f"{name}.html")
        assert len(parts) == (2 if any(is_ours) else 1)
        for _, *cells in parts:
            assert all(any(column) for column in zip(*cells, strict=True))
    ours = [row["dataset"] for row in tables["table1"] if row["psnr_db"]]
    assert list(dict.fromkeys(ours)) == ["Urban100", "CUFED5"]  # as they were given
    assert ours == sorted(ours, reverse=True)


def test_only_ours_leaves_out_the_others(tmp_path, cufed):
    tables = assemble(tmp_path / "out", cufed, only_ours=True)
    assert len(tables["table1"]) == 6  # three methods by two protocols
    assert all(row["psnr_db"] for table in tables.values() for row in table)
    assert rows(tmp_path / "out" / "published.csv") == tables["table3"] == []
    for suffix in ("md", "tex", "html"):
        assert "No evaluation has numbers" in (tmp_path / "out" / f"table3.{suffix}").read_text()


def test_the_best_of_a_data_set_is_bold_and_of_a_reference_in_table_2(tmp_path):
    numbers = {("Bicubic", "none"): 24.0, ("EDSR", "none"): 27.9} | falling("SRNTT-l2", 27, 0.5)
    numbers |= falling("SRNTT", 26.4, 0.3)
    folder = save_results(tmp_path / "x", "demo", numbers, noise=0)
    assemble(tmp_path / "out", folder)

    def bold(name):
        (head, *cells), *_ = html_tables(tmp_path / "out" / f"{name}.html")
        page = ElementTree.fromstring(f"<x>{(tmp_path / 'out' / f'{name}.html').read_text()}</x>")
        table = next(page.iter("table"))
        marks = [[cell.find("strong") is not None for cell in row] for row in table.iter("tr")][1:]
        place = head.index("PSNR (dB)")
        return {(row[1], row[2]) for row, mark in zip(cells, marks, strict=True) if mark[place]}

    assert bold("table1") == {("EDSR", "none")}
    won = {"HR (warp)": "SRNTT-l2", "L1": "SRNTT-l2", "L2": "SRNTT-l2", "L3": "SRNTT"}
    won |= {"L4": "SRNTT", "LR": "SRNTT"}
    psnr = {key: round(value, 2) for key, value in numbers.items()}
    for reference in won:
        two = {name: psnr[name, reference] for name in ("SRNTT-l2", "SRNTT")}
        won[reference] = {name for name, value in two.items() if value == max(two.values())}
    assert bold("table2") == {(name, ref) for ref, names in won.items() for name in names}
    assert "**" in (tmp_path / "out" / "table1.md").read_text()
    assert "\\textbf{" in (tmp_path / "out" / "table1.tex").read_text()


def test_protocols_can_be_chosen(tmp_path, cufed, urban):
    assemble(tmp_path / "out", cufed, urban, protocol=("rgb", "luma"))
    text = (tmp_path / "out" / "table1.md").read_text()
    for line in text.splitlines():
        if line.startswith("| Urban100") and "images" in line:
            assert "| luma " in line
    assert text.count("| rgb ") == 3
    with pytest.raises(InputError, match="paper-urban100"):
        assemble(tmp_path / "other", cufed, protocol=("psnr",))
    assert not (tmp_path / "other").exists()


def test_pages_carry_protocols_and_notes_escaped(tmp_path, cufed):
    assemble(tmp_path / "out", cufed)
    for name in TABLES:
        html, md, tex = (
            (tmp_path / "out" / f"{name}.{suffix}").read_text() for suffix in ("html", "md", "tex")
        )
        assert f'id="{name}"' in html
        assert "sortable" in html
        assert "CUFED5: 9 numbers, by &lt;hand&gt; &amp; 50 %." in html
        assert "<hand>" not in html
        assert "CUFED5: 9 numbers, by &lt;hand&gt; &amp; 50 %." in md
        assert not [line for line in tex.splitlines() if "hand" in line and line[0] != "%"]
    assert "Protocol luma: luma, border 4 px" in (tmp_path / "out" / "table1.html").read_text()


HOSTILE = "X\n\\immediate\\write18{id} $x^_$ <script>alert(1)</script> [a](b) %\u202e=1"


def test_hostile_names_of_data_sets_are_only_text(tmp_path):
    folder = save_results(tmp_path / "x", HOSTILE, falling("SRNTT-l2", 27, 0.5))
    out = tmp_path / "out"
    tables = assemble(out, folder)
    assert {row["dataset"] for row in tables["table1"]} > {HOSTILE}
    for name in TABLES:
        html, md, tex = ((out / f"{name}.{end}").read_text() for end in ("html", "md", "tex"))
        assert "<script" not in html + md
        assert "](b)" not in md.replace("\\[a](b)", "")
        assert "\u202e" not in html + md + tex
        own = [line for line in tex.splitlines() if not line.startswith("% ")]
        assert not [line for line in own if "\\immediate" in line or "\\write" in line]
        assert not [line for line in own if re.search(r"(?<!\\)[$%#]", line.replace("{%", ""))]
    assert (
        r"\textbackslash{}immediate\textbackslash{}write18\{id\}"
        in (out / "table2.tex").read_text()
    )


def test_numbers_that_are_none_in_a_csv_are_refused(tmp_path, cufed):
    path = cufed / "per_image.csv"
    text = path.read_text()
    first = text.splitlines()[1].split(",")[-3]
    path.write_text(text.replace(first, "nan", 1))
    with pytest.raises(InputError, match="psnr_db is no number"):
        assemble(tmp_path / "out", cufed)


def test_infinite_psnr_is_null_in_the_metrics(tmp_path):
    numbers = {("Bicubic", "none"): float("inf")}
    assemble(tmp_path / "out", save_results(tmp_path / "x", "CUFED5", numbers))
    text = (tmp_path / "out" / "metrics.json").read_text()
    json.loads(text, parse_constant=pytest.fail)
    assert '"psnr_db": null' in text


def test_comparisons_and_metrics_are_over_all_folders(tmp_path, urban):
    folders = [
        save_results(tmp_path / method, "CUFED5", falling(method, best, 0.5))
        for method, best in (("SRNTT-flow", 26), ("SRNTT", 28))
    ]
    assemble(tmp_path / "out", *folders, urban)
    compared = rows(tmp_path / "out" / "comparisons.csv")
    row = find(compared, measure="psnr_db", method="SRNTT", reference="HR (warp)",
               other_method="SRNTT-flow", other_reference="HR (warp)")  # fmt: skip
    assert float(row["difference"]) == pytest.approx(2, abs=0.1)
    assert (row["differ"], row["images"]) == ("yes", "12")
    assert float(row["wilcoxon_p"]) < 0.01
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    table = rows(tmp_path / "out" / "table2.csv")
    row = find(table, method="SRNTT-flow", reference="L2")
    assert metrics["table2"]["luma"]["CUFED5"]["SRNTT-flow"]["L2"]["psnr_db"] == float(
        row["psnr_db"]
    )


def test_numbers_that_stand_in_two_folders_are_taken_once(tmp_path, cufed, contents):
    copy = tmp_path / "copy"
    for path in cufed.iterdir():
        write_bytes(copy / path.name, path.read_bytes())
    assemble(tmp_path / "twice", cufed, copy)
    assemble(tmp_path / "once", cufed)
    assert contents(tmp_path / "twice") == contents(tmp_path / "once")


def test_a_note_of_several_data_sets_stands_once(tmp_path):
    folders = [
        save_results(tmp_path / name, name, {("Bicubic", "none"): 24.0}, 3)
        for name in ("CUFED5", "Sun80")
    ]
    assemble(tmp_path / "out", *folders)
    text = (tmp_path / "out" / "table1.md").read_text()
    assert text.count("1 numbers, by &lt;hand&gt;") == 1
    assert "- CUFED5, Sun80: 1 numbers, by &lt;hand&gt;" in text


def test_a_folder_of_evaluations_stands_for_all_of_them(tmp_path, contents):
    cufed = save_results(tmp_path / "all" / "cufed5", "CUFED5", falling("SRNTT-l2", 27, 0.5))
    urban = save_results(tmp_path / "all" / "own", "Urban100", {("Bicubic", "none"): 23.0}, refs=0)
    (tmp_path / "all" / "unfinished").mkdir()
    assemble(tmp_path / "together", tmp_path / "all")
    assemble(tmp_path / "named", cufed, urban)
    assert contents(tmp_path / "together") == contents(tmp_path / "named")


def test_folders_that_disagree_are_refused(tmp_path, cufed):
    other = save_results(tmp_path / "other", "CUFED5", falling("SRNTT-l2", 28, 0.5))
    with pytest.raises(InputError, match="disagree on SRNTT-l2") as refusal:
        assemble(tmp_path / "out", cufed, other)
    assert str(cufed) in str(refusal.value)
    assert str(other) in str(refusal.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("per_image.csv", None),
        ("per_image.csv", "dataset,image\nCUFED5,001\n"),
        ("per_image.csv", "\0"),
        ("notes.json", None),
        ("notes.json", "[]"),
        ("notes.json", '{"dataset": "CUFED5", "notes": [], "not_run": [{"method": "x"}]}'),
        ("notes.json", '{"dataset": "CUFED5", "notes": [], "not_run": 3}'),
        ("costs.csv", "method,parameters\nx,many\n"),
    ],
)
def test_folders_of_other_things_are_refused_by_name(tmp_path, cufed, file, text):
    (cufed / file).unlink() if text is None else (cufed / file).write_text(text)
    with pytest.raises(InputError, match=rf"{file}\b.*evaluate") as refusal:
        assemble(tmp_path / "out", cufed)
    assert "\n" not in str(refusal.value)


def test_the_csv_has_the_promised_columns(tmp_path, cufed):
    tables = assemble(tmp_path / "out", cufed)
    for table in tables.values():
        assert tuple(table[0]) == COLUMNS
    assert tuple(rows(tmp_path / "out" / "published.csv")[0]) == PUBLISHED_COLUMNS
    names = (*TABLES, "published")
    assert {path.name for path in Path(tmp_path / "out").iterdir()} - {MARK} == {
        *(f"{name}.{suffix}" for name in names for suffix in ("csv", "md", "tex", "html")),
        "comparisons.csv",
        "metrics.json",
        "figure5",
    }


# Any method


def test_each_row_of_the_paper_is_filled_by_whatever_has_its_name(tmp_path):
    """A network of no references, a folder of images: no list of names of ours decides."""
    names = dict.fromkeys(row.method for row in paper_rows() if row.table == "1")
    assert len(names) == 14
    numbers = {(name, "none"): 24 + k / 10 for k, name in enumerate(names)}
    table = assemble(tmp_path / "out", save_results(tmp_path / "x", "Sun80", numbers))["table1"]
    for row in table:
        if row["dataset"] == "Sun80":
            assert row["psnr_db"]
            assert row["note"] == "12 of 80 images"


def test_methods_that_the_paper_lacks_follow_where_they_have_numbers(tmp_path, cufed):
    numbers = {("EDSR", "none"): 26.0, ("Stitcher", "stitched"): 25.5}
    numbers |= falling("SRNTT-l2 #1a2b3c", 27, 0.5) | {("Theirs", "L2"): 26.5}
    folder = save_results(tmp_path / "more", "CUFED5", numbers, not_run=[("Wrong", "", "", "no")])
    tables = assemble(tmp_path / "out", cufed, folder)
    paper = {row.method for row in paper_rows()}
    found = {name: [(row["method"], row["reference"]) for row in rows if row["method"] not in paper]
             for name, rows in tables.items()}  # fmt: skip
    levels = [("SRNTT-l2 #1a2b3c", reference) for reference in REFERENCES[:-1]]
    assert found == {
        "table1": [("SRNTT-l2 #1a2b3c", "all"), ("EDSR", "none"), ("Stitcher", "stitched")],
        "table2": [*levels, ("Theirs", "L2")],
        "table3": [],
        "figure7": [],
    }
    order = list(dict.fromkeys(row["method"] for row in tables["table1"] if row["psnr_db"]))
    assert order == ["Bicubic", "SRNTT-l2 (SISR)", "SRNTT-l2", "SRNTT-l2 #1a2b3c", "EDSR",
                     "Stitcher"]  # fmt: skip
    assert {row["note"] for row in tables["table1"] if row["method"] == "EDSR"} == {
        "12 of 126 images"
    }


def test_lr_is_the_number_of_others_too_on_sets_without_references(tmp_path):
    folder = save_results(tmp_path / "x", "Urban100", {("Mine", "LR"): 24.0}, 100, refs=0)
    row = find(assemble(tmp_path / "out", folder)["table1"], method="Mine")
    assert (row["reference"], row["note"]) == ("LR", "no references at hand: LR is its own")


def test_methods_of_others_stand_in_the_rows_of_other_data_sets(tmp_path):
    numbers = {("EDSR", "none"): 26.0, ("SRCNN", "none"): 25.0, ("Raw", "L1"): 25.0}
    tables = assemble(tmp_path / "out", save_results(tmp_path / "x", "demo", numbers))
    own = [row["method"] for row in tables["table1"] if row["dataset"] == "demo"]
    assert own == ["SRCNN", "EDSR"]
    own = [row["method"] for row in tables["table2"] if row["dataset"] == "demo"]
    assert own == ["Raw"]


def test_the_true_reason_stands_in_a_row_without_a_number(tmp_path):
    """What evaluate noted of a method is told, not that it was not evaluated."""
    numbers = {("CrossNet", "L1"): 25.0, ("CrossNet", "L2"): 25.0, ("Bicubic", "none"): 24.0}
    not_run = [
        ("CrossNet", "all", "", "it does not take this reference"),
        ("CrossNet", "", "", "protocol luma-all measures references: all, which it does not take"),
        ("CrossNet", "LR", "001", "too small"),
        ("CrossNet", "LR", "002", "too small"),
        ("SRNTT-flow", "L1", "", "it does not take this reference"),
        ("SelfEx", "none", "001", "no image 001"),
    ]
    folder = save_results(tmp_path / "x", "CUFED5", numbers, not_run=not_run)
    other = save_results(tmp_path / "y", "Sun80 (own)", {("Bicubic", "none"): 24.0})
    tables = assemble(tmp_path / "out", folder, other)
    reasons = {
        ("table1", "CUFED5", "CrossNet", "all"): "it does not take this reference",
        ("table2", "CUFED5", "CrossNet", "LR"): "no SR of 2 images: too small",
        ("table2", "CUFED5", "CrossNet", "L3"): "not evaluated with reference L3",
        ("table2", "CUFED5", "SRNTT-flow", "L1"): "it does not take this reference",
        ("table2", "CUFED5", "SRNTT", "L1"): "SRNTT was not evaluated on CUFED5",
        ("table1", "CUFED5", "SelfEx", "all"): "no SR of 1 images: no image 001",
        ("table1", "Sun80", "Bicubic", "all"): "Sun80 was not evaluated, Sun80 (own) was",
        ("table1", "Urban100", "Bicubic", "all"): "Urban100 was not evaluated",
    }
    for (table, dataset, method, reference), reason in reasons.items():
        row = find(tables[table], dataset=dataset, method=method, reference=reference)
        assert (row["psnr_db"], row["note"]) == ("", reason)


def markdown_rows(path):
    """Return the rows of the tables in a Markdown file by heading, without what makes them bold."""
    found = []
    for part in re.split(r"^# ", path.read_text(), flags=re.M)[1:]:
        lines = [line.replace("**", "") for line in part.splitlines() if line.startswith("|")]
        names, _, *cells = (
            [c.strip().replace("\\", "") for c in line[1:-1].split("|")] for line in lines
        )
        # Of two columns called alike each stays: as `difference` and `difference `.
        names = [name + " " * names[:place].count(name) for place, name in enumerate(names)]
        found += [dict(zip(names, row, strict=True)) for row in cells]
    return found


def test_rows_stay_when_a_protocol_was_not_measured(tmp_path, cufed, urban):
    """They were left out without a word, and with them the paper's numbers."""
    tables = assemble(tmp_path / "out", cufed, urban, protocol=("rgb",))
    for name in TABLES[:3]:
        shown = markdown_rows(tmp_path / "out" / f"{name}.md")
        keys = dict.fromkeys((r["dataset"], r["method"], r["reference"]) for r in tables[name])
        assert len(shown) == len(keys)
    shown = markdown_rows(tmp_path / "out" / "table1.md")
    row = find(shown, **{"Data set": "Urban100", "Method": "Bicubic"})
    assert row["Note"] == "not measured by protocol rgb"
    assert "PSNR (dB)" not in row
    assert row["paper PSNR"] == "23.14"
    assert find(shown, **{"Data set": "CUFED5", "Method": "Bicubic"})["Protocol"] == "rgb"


def test_a_row_that_lacks_the_protocol_of_the_others_stays(tmp_path):
    folders = [
        save_results(tmp_path / "a", "CUFED5", {("Bicubic", "none"): 24.0}, 126),
        save_results(tmp_path / "b", "CUFED5", {("EDSR", "none"): 26.0}, protocols=("rgb",)),
        save_results(tmp_path / "c", "CUFED5", falling("SRNTT", 26, 0.1), protocols=("rgb",)),
    ]
    assemble(tmp_path / "out", *folders)
    shown = markdown_rows(tmp_path / "out" / "table1.md")
    for method in ("EDSR", "SRNTT"):
        row = find(shown, **{"Data set": "CUFED5", "Method": method})
        assert row["Note"] == "not measured by protocol luma"
    assemble(tmp_path / "all", *folders, protocol=("luma-all",))
    (row,) = [r for r in markdown_rows(tmp_path / "all" / "table2.md")
              if (r["Method"], r["Reference"]) == ("SRNTT", "L1")]  # fmt: skip
    assert row["Note"] == "protocol luma-all does not measure reference L1"


# Published numbers, costs


def test_published_numbers_stand_beside_the_papers_with_their_source(tmp_path, urban):
    table = assemble(tmp_path / "out", urban)["table1"]
    row = find(table, dataset="Urban100", method="LapSRN")
    assert (row["paper_psnr_db"], row["published_psnr_db"], row["published_ssim"]) == (
        "24.26", "25.21", "0.756",
    )  # fmt: skip
    assert not find(table, dataset="CUFED5", method="LapSRN")["published_psnr_db"]
    for suffix in ("md", "html", "tex"):
        text = (tmp_path / "out" / f"table1.{suffix}").read_text()
        assert "published PSNR" in text
        assert "LapSRN on Urban100: the authors' network as later papers quote it" in (
            text.replace("&#x27;", "'").replace("\\", "")
        )


def test_methods_after_the_paper_have_a_table_with_ours_where_measured_alike(tmp_path):
    numbers = {("C2-Matching-rec", "L1"): 28.0, ("TTSR", "all"): 25.0}
    assemble(tmp_path / "out", save_results(tmp_path / "x", "CUFED5", numbers))
    table = rows(tmp_path / "out" / "published.csv")
    assert {row["method"] for row in table} == {"TTSR", "MASA", "C2-Matching", "AMSA", "DATSR"}
    (ours,) = [row for row in table if row["psnr_db"]]
    assert (ours["method"], ours["variant"], ours["published_psnr_db"]) == (
        "C2-Matching", "reconstruction", "28.24",
    )  # fmt: skip
    assert all(row["source"] and row["measured"] for row in table)
    row = find(rows(tmp_path / "out" / "table1.csv"), method="TTSR")
    assert (row["published_psnr_db"], row["paper_psnr_db"]) == ("25.53", "")


COST = {
    "method": "Bicubic", "parameters": 71_400, "multiply_adds_per_pixel": 12_345.5,
    "seconds_per_image": 0.25, "peak_memory_mib": 512, "cost_device": "two cores",
}  # fmt: skip


def test_costs_of_several_folders_stand_in_table_1(tmp_path):
    bicubic, edsr = {("Bicubic", "none"): 24.0}, {("EDSR", "none"): 26.0}
    folders = [
        save_results(tmp_path / "a", "CUFED5", bicubic, costs=[COST]),
        save_results(tmp_path / "b", "CUFED5", bicubic | edsr,
                     costs=[{"method": "Bicubic"}, COST | {"method": "EDSR", "parameters": 864,
                            "cost_device": "a GPU"}]),
        save_results(tmp_path / "c", "Sun80", bicubic | edsr),
    ]  # fmt: skip
    tables = assemble(tmp_path / "out", *folders)
    kept = {(row["dataset"], row["method"]): row["parameters"] for row in tables["table1"]
            if row["psnr_db"]}  # fmt: skip
    assert kept == {
        ("CUFED5", "Bicubic"): "71400", ("Sun80", "Bicubic"): "", ("CUFED5", "EDSR"): "864",
        ("Sun80", "EDSR"): "",
    }  # fmt: skip
    assert not any(row["parameters"] for row in tables["table2"])
    text = (tmp_path / "out" / "table1.md").read_text()
    assert f"- {COST_NOTE} Bicubic on two cores; EDSR on a GPU." in text
    assert COST_NOTE not in (tmp_path / "out" / "table2.md").read_text()


def test_evaluations_of_earlier_versions_are_read(tmp_path, cufed, contents):
    """They have no pictures, no costs, and say nothing of what was not run."""
    assemble(tmp_path / "out", cufed)
    path = cufed / "per_image.csv"
    path.write_text("".join(line.rpartition(",")[0] + "\n" for line in path.open()))
    assert "picture" not in path.read_text()
    assemble(tmp_path / "again", cufed)
    assert contents(tmp_path / "again") == contents(tmp_path / "out")


def test_five_references_of_cufed5_are_not_the_papers_four(tmp_path):
    """Table 1 has `paper-all`; without it `all`, which then says that it is not the paper's."""
    numbers = {("SRNTT-l2", "all"): 26.5, ("SRNTT-l2", "paper-all"): 26.0, ("Mine", "all"): 25.5}
    five = save_results(tmp_path / "five", "CUFED5", numbers, images=126, refs=5)
    del numbers["SRNTT-l2", "paper-all"]
    without = save_results(tmp_path / "without", "CUFED5", numbers, images=126, refs=5)
    four = save_results(tmp_path / "four", "CUFED5", numbers, images=126, refs=4)
    means, notes = {}, {}
    for folder in (five, without, four):
        assemble(tmp_path / f"{folder.name} tables", folder)
        for row in rows(tmp_path / f"{folder.name} tables" / "table1.csv"):
            if row["dataset"] == "CUFED5" and row["psnr_db"]:
                key = folder.name, row["method"]
                means[key], notes[key] = round(float(row["psnr_db"]) * 2) / 2, row["note"]
                assert (row["paper_psnr_db"] == "26.24") == (row["method"] == "SRNTT-l2")
    shift = means["four", "SRNTT-l2"] - 26.5  # of all numbers alike
    assert means["five", "SRNTT-l2"] - shift == 26.0
    assert means["without", "SRNTT-l2"] - shift == 26.5
    told = "5 references, not the paper's: paper-all was not evaluated"
    assert notes == {
        ("five", "SRNTT-l2"): "", ("five", "Mine"): told,
        ("without", "SRNTT-l2"): told, ("without", "Mine"): told,
        ("four", "SRNTT-l2"): "", ("four", "Mine"): "",
    }  # fmt: skip


def test_rows_of_lr_as_given_say_so_and_are_not_mixed_with_those_of_made_lr(tmp_path):
    numbers = {("Bicubic", "none"): 23.0}
    made, given = (
        save_results(tmp_path / name, "Urban100", numbers, 100, refs=0, given_lr=name == "given")
        for name in ("made", "given")
    )
    for folder in (made, given):
        assemble(tmp_path / f"{folder.name} tables", folder)
        (row,) = [r for r in rows(tmp_path / f"{folder.name} tables" / "table1.csv") if r["images"]]
        assert row["note"] == ("LR as given" if folder == given else "")
    with pytest.raises(InputError, match="different LR, one as given"):
        assemble(tmp_path / "tables", made, given)


# Several checkpoints of one network


def test_checkpoints_of_a_network_stand_below_its_row_in_every_table_that_has_it(tmp_path):
    numbers = falling("SRNTT #lr 1e-4", 27, 0.5) | falling("SRNTT #lr 2e-4", 26, 0.5)
    tables = assemble(tmp_path / "out", save_results(tmp_path / "x", "CUFED5", numbers))
    for name in TABLES:
        ours = {row["method"] for row in tables[name] if row["psnr_db"]}
        assert ours == {"SRNTT #lr 1e-4", "SRNTT #lr 2e-4"}
    row = find(tables["table1"], dataset="CUFED5", method="SRNTT #lr 2e-4")
    assert row["paper_psnr_db"] == "25.61"  # no row of the network has it
    assert not [row for row in tables["table1"]
                if (row["dataset"], row["method"]) == ("CUFED5", "SRNTT")]  # fmt: skip


def test_seeds_of_a_network_have_a_row_of_their_mean_and_spread(tmp_path):
    seeds = {f"SRNTT #seed {k}": falling(f"SRNTT #seed {k}", 26 + k, 0.5) for k in range(3)}
    numbers = {("Bicubic", "none"): 24.0, **seeds["SRNTT #seed 0"], **seeds["SRNTT #seed 1"]}
    folders = [
        save_results(tmp_path / "two", "CUFED5", numbers, noise=0),
        save_results(tmp_path / "one", "CUFED5", seeds["SRNTT #seed 2"], noise=0),
    ]
    tables = assemble(tmp_path / "out", *folders)
    for name, reference in (("table1", "all"), ("table2", "L2"), ("table3", "L2")):
        own = [row for row in tables[name] if row["psnr_db"] and row["reference"] == reference
               and row["method"].startswith("SRNTT")]  # fmt: skip
        mean, *each = own
        assert [row["method"] for row in each] == list(seeds)
        values = [float(row["psnr_db"]) for row in each]
        assert float(mean["psnr_db"]) == pytest.approx(np.mean(values), abs=1e-4)
        assert float(mean["psnr_db_sd"]) == pytest.approx(np.std(values, ddof=1), abs=1e-4)
        assert (mean["seeds"], mean["images"]) == ("3", "12")
        assert mean["paper_psnr_db"]
        assert not any(row["seeds"] or row["paper_psnr_db"] for row in each)
    compared = rows(tmp_path / "out" / "comparisons.csv")
    row = find(compared, measure="psnr_db", method="SRNTT", reference="L1", other_method="Bicubic")
    assert float(row["difference"]) == pytest.approx(27 - 0.5 - 24, abs=1e-3)
    text = (tmp_path / "out" / "table1.md").read_text()
    (line,) = [line for line in text.splitlines() if "| SRNTT #seed 2 " in line]
    assert "**" not in line  # no single seed is the best
