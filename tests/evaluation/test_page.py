"""The page in a browser, from file://, as a reader has it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from srntt_pipeline.evaluation.figures import draw_curves
from srntt_pipeline.evaluation.page import Description, facts, write_page
from srntt_pipeline.evaluation.page_data import Picture, Shown
from srntt_pipeline.text import printable
from tests.evaluation.page_pictures import write_pictures

ROWS = [
    ("Bicubic", "none", 24.18, 0.684, 24.18),
    ("SRNTT", "HR (warp)", 33.87, 0.959, 33.87),
    ("SRNTT", "L1", 26.4, 0.784, None),
    ("SRNTT", "L10", 9.5, 0.5, 25.1),
    ("SRNTT", "LR", "inf", 1, ""),
]

PARAMETERS = {"HR (warp)": 71_400, "L1": 864, "LR": "1520000"}


def table(protocol):
    return [
        {
            "dataset": "CUFED5", "method": method, "reference": reference, "protocol": protocol,
            "images": 2, "psnr_db": psnr, "ssim": ssim, "paper_psnr_db": paper, "paper_ssim": "",
            "psnr_db_low": 20.0 if reference == "L1" else None,
            "psnr_db_high": 30.0 if reference == "L1" else None,
            "parameters": PARAMETERS.get(reference),
        }
        for method, reference, psnr, ssim, paper in ROWS
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photograph):
    """A page of two images, one of an awkward name; each picture is of another brightness."""
    out = tmp_path_factory.mktemp("page")
    shown = [
        write_pictures(out, photograph[top : top + 96, 160:304], name)
        for name, top in (("001", 0), ("50 % of <b> #2", 100))
    ]
    (out / "loss.csv").write_text("step,phase,loss\n1,a,0.5\n2,a,0.25\n3,b,0.2\n")
    assert draw_curves(out, out / "page" / "curves.png")
    description = Description(
        "Data </script> & more",
        notes=["<b>A note"],
        protocols={"luma": "What luma means."},
        shown=shown,
        curves=[Picture("training", Path("page/curves.png"), "figure", size=(300, 900))],
        made_of={"Run": facts({"train": {"steps": 3}, "seed": 0})},
    )
    write_page(out, description, [*table("luma"), *table("rgb")])
    return out


@pytest.fixture
def page(browser, folder):
    """The open page; after the test its console must hold nothing but what is no problem."""
    browser.set_window_size(1280, 900)
    browser.get((folder / "index.html").as_uri())
    yield browser
    assert browser.get_log("browser") == []


def find(page, css):
    return page.find_element("css selector", css)


def column(page, number):
    cells = page.find_elements("css selector", f"table tr td:nth-child({number})")
    return [cell.text for cell in cells][: len(ROWS)]


NAMES = [
    "$x^_$", "</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "#1 50% ?&'",
    "new\nline\x1b[2J\u202e", "-rf", "😀", "{{ 7 * 7 }}",
]  # fmt: skip


def test_names_of_any_kind_are_only_text(tmp_path):
    shown = [
        Shown(name, [Picture(name, Path("images", f"{name}.png"), "output", name)])
        for name in NAMES
    ]
    rows = [{**row, "method": NAMES[1], "reference": NAMES[4]} for row in table("luma")]
    description = Description(
        NAMES[1], notes=NAMES, shown=shown, made_of={NAMES[1]: [(NAMES[2], NAMES[1])]}
    )
    write_page(tmp_path, description, rows)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")

    class Reader(HTMLParser):
        def __init__(self):
            super().__init__()
            self.scripts, self.images = 0, []

        def handle_starttag(self, tag, attrs):
            self.scripts += tag == "script"
            assert not [name for name, _ in attrs if name.startswith("on")]
            if tag == "img":
                self.images.append(dict(attrs))

    reader = Reader()
    reader.feed(text)
    assert reader.scripts == 3  # the page's own: what hides it until it is arranged, data, code
    assert [unquote(image["src"]) for image in reader.images] == [f"images/{NAMES[0]}.png"]
    assert not [image for image in reader.images if set("#?\n\x1b ") & set(image["src"])]
    assert not set("\x1b\u202e") & set(text)
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    assert [image["name"] for image in data["images"]] == [printable(name) for name in NAMES]
    assert [unquote(image["file"]) for image in data["images"]] == NAMES
    assert data["patterns"][0] == "images/*.png"
    assert "{{ 7 * 7 }}" in text


def test_damaged_curves_are_left_out(tmp_path):
    for content in (
        b"",
        b"\x89PNG",
        b"step,loss\na,b\n",
        b"step,loss\n1,inf\nx,2\n",
        b"a,b\n1,2\n",
    ):
        (tmp_path / "loss.csv").write_bytes(content)
        assert not draw_curves(tmp_path, tmp_path / "x.png")


def test_tables_are_sorted_by_numbers_and_back(page):
    headers = page.find_elements("css selector", "table th")
    psnr = next(h for h in headers if h.text.startswith("PSNR (dB)"))
    first = column(page, 3)
    find(page, "table th:nth-child(3) button").click()
    assert psnr.get_attribute("aria-sort") == "descending"
    assert column(page, 3) == ["inf", "33.87", "26.40", "24.18", "9.50"]
    assert column(page, 2) == ["LR", "HR (warp)", "L1", "none", "L10"]
    find(page, "table th:nth-child(3) button").send_keys("\ue007")  # Enter: by keyboard too
    assert psnr.get_attribute("aria-sort") == "ascending"
    assert column(page, 3) == ["9.50", "24.18", "26.40", "33.87", "inf"]
    find(page, "table th:nth-child(3) button").send_keys("\ue00d")  # the space bar
    assert psnr.get_attribute("aria-sort") is None
    assert column(page, 3) == first


def test_words_are_sorted_from_a_on(page):
    find(page, "table th:nth-child(2) button").click()
    assert column(page, 2) == ["HR (warp)", "L1", "L10", "LR", "none"]


def test_empty_cells_are_last_in_either_order(page):
    assert find(page, "table th:nth-child(4)").text.startswith("paper PSNR")
    for ends in (["33.87", "25.10", "24.18", "", ""], ["24.18", "25.10", "33.87", "", ""]):
        find(page, "table th:nth-child(4) button").click()
        assert column(page, 4) == ends


def test_counts_are_sorted_with_their_units(page):
    headers = page.find_elements("css selector", "table th")
    place = 1 + next(i for i, h in enumerate(headers) if h.text.startswith("Parameters"))
    find(page, f"table th:nth-child({place}) button").click()
    assert column(page, place) == ["1.52 M", "71.4 k", "864", "", ""]


def test_protocols_are_tabs(page):
    tabs = page.find_elements("css selector", "[role=tab]")
    panels = page.find_elements("css selector", "[role=tabpanel]")
    assert [tab.text for tab in tabs] == ["luma", "rgb"]
    for keys, chosen in (("", 0), ("\ue014", 1), ("\ue014", 0), ("\ue010", 1), ("\ue011", 0)):
        if keys:  # right, right again (round), End, Home
            page.switch_to.active_element.send_keys(keys)
        else:
            tabs[0].click()
        assert page.switch_to.active_element == tabs[chosen]
        assert [panel.is_displayed() for panel in panels] == [chosen == 0, chosen == 1]
        assert [tab.get_attribute("aria-selected") for tab in tabs] == [
            str(chosen == place).lower() for place in (0, 1)
        ]
        assert tabs[chosen].get_attribute("aria-controls") == panels[chosen].get_attribute("id")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_but_tables_and_figures_is_wider_than_the_screen(page, width):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    try:
        wide = page.execute_script("return document.documentElement.scrollWidth")
        psnr = page.execute_script(
            "return document.querySelector('td strong').getBoundingClientRect().right"
        )
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= width
    assert psnr <= width  # without scrolling the table


def test_without_javascript_tables_and_pictures_are_there(browser, folder):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((folder / "index.html").as_uri())
        assert column(browser, 3) == ["24.18", "33.87", "26.40", "9.50", "inf"]
        assert not find(browser, "#viewer").is_displayed()
        assert all(t.is_displayed() for t in browser.find_elements("css selector", "table"))
        pictures = browser.find_elements("css selector", ".pictures img")
        assert [picture.is_displayed() for picture in pictures] == [True] * 5
        assert "other 1 images" in find(browser, "#pictures").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


# Without a browser


def test_nothing_is_taken_from_elsewhere(folder):
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"// .*", "", text))
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert [image["name"] for image in data["images"]] == ["001", "50 % of <b> #2"]
    assert "<b>" not in text
    assert text.count("</script>") == 3


def test_intervals_and_every_protocol_are_shown(folder):
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert text.count("<td>20.00…30.00</td>") == 2
    assert "<td>-15.60</td>" in text  # ours less the paper's
    assert text.count('<th scope="col">PSNR 95 %</th>') == 2
    assert "SSIM 95 %" not in text  # a column that no row fills
    assert "paper SSIM" not in text
    assert "What luma means." in text


def test_what_made_it_is_told_flat():
    told = facts({"a": {"b": {"c": [1, 2]}, "d": None}, "e": "text"})
    assert told == [("a.b.c", "[1, 2]"), ("a.d", "null"), ("e", "text")]


def test_no_curves_are_drawn_of_nothing(tmp_path):
    assert not draw_curves(tmp_path, tmp_path / "curves.png")
    (tmp_path / "loss.csv").write_text("")
    assert not draw_curves(tmp_path, tmp_path / "curves.png")
    (tmp_path / "loss.csv").write_text("step,phase,loss\n")
    assert not draw_curves(tmp_path, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
