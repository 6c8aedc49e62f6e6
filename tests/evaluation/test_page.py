"""The page in a browser, from file://, as a reader has it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.evaluation.figures import draw_curves
from srntt_pipeline.evaluation.page import Description, Picture, Shown, facts, write_page
from srntt_pipeline.text import printable

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
    shown = []
    for name, top in (("001", 0), ("50 % of <b> #2", 100)):
        pictures = []
        for number, (label, kind, step) in enumerate(
            (("LR", "input", 4), ("Bicubic", "output", 1), ("SRNTT, L1", "output", 1),
             ("HR", "truth", 1), ("L1", "reference", 1))
        ):  # fmt: skip
            path = Path("images", str(number), f"{name}.png")
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            view = photograph[top : top + 96 : step, 160:304:step] // (number + 1)
            Image.fromarray(view).save(out / path)
            pictures.append(Picture(label, path, kind, f"{20 + number}.00 dB"))
        shown.append(Shown(name, pictures))
    (out / "loss.csv").write_text("step,phase,loss\n1,a,0.5\n2,a,0.25\n3,b,0.2\n")
    assert draw_curves(out, out / "page" / "curves.png")
    description = Description(
        "Data </script> & more",
        notes=["<b>A note"],
        protocols={"luma": "What luma means."},
        shown=shown,
        curves=[Picture("training", Path("page/curves.png"), "figure")],
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


def set_slider(page, slider, value):
    page.execute_script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))",
        slider,
        value,
    )


def choose(page, css, text):
    from selenium.webdriver.support.ui import Select

    Select(find(page, css)).select_by_visible_text(text)


def column(page, number):
    cells = page.find_elements("css selector", f"table tr td:nth-child({number})")
    return [cell.text for cell in cells][: len(ROWS)]


def loaded(page):
    """Whether every picture in sight was found."""
    from selenium.webdriver.support.ui import WebDriverWait

    script = "return [...document.querySelectorAll('.pair img')].every((i) => i.naturalWidth > 0)"
    return WebDriverWait(page, 5).until(lambda page: page.execute_script(script))


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
    assert reader.scripts == 2  # the page's own: its data and its code
    assert [unquote(image["src"]) for image in reader.images] == [
        f"images/{name}.png" for name in NAMES
    ]
    assert not [image for image in reader.images if set("#?\n\x1b ") & set(image["src"])]
    assert not set("\x1b\u202e") & set(text)
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    assert [image["name"] for image in data] == [printable(name) for name in NAMES]
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
    find(page, "table th:nth-child(4) button").click()
    assert psnr.get_attribute("aria-sort") == "descending"
    assert column(page, 4) == ["inf", "33.87", "26.40", "24.18", "9.50"]
    assert column(page, 2) == ["LR", "HR (warp)", "L1", "none", "L10"]
    find(page, "table th:nth-child(4) button").send_keys("\ue007")  # Enter: by keyboard too
    assert psnr.get_attribute("aria-sort") == "ascending"
    assert column(page, 4) == ["9.50", "24.18", "26.40", "33.87", "inf"]


def test_empty_cells_are_last_in_either_order(page):
    assert find(page, "table th:nth-child(5)").text.startswith("paper PSNR")
    for ends in (["33.87", "25.10", "24.18", "", ""], ["24.18", "25.10", "33.87", "", ""]):
        find(page, "table th:nth-child(5) button").click()
        assert column(page, 5) == ends


def test_counts_are_sorted_with_their_units(page):
    headers = page.find_elements("css selector", "table th")
    place = 1 + next(i for i, h in enumerate(headers) if h.text.startswith("Parameters"))
    find(page, f"table th:nth-child({place}) button").click()
    assert column(page, place) == ["1.52 M", "71.4 k", "864", "", ""]


def test_the_slider_shows_more_of_the_left_picture(page, tmp_path):
    loaded(page)
    pair, slider = find(page, "#compare .pair"), find(page, "#compare input[type=range]")
    choose(page, "#compare [data-role=left]", "Bicubic")
    loaded(page)
    means = {}
    for cut in (0, 100):
        set_slider(page, slider, cut)
        pair.screenshot(str(tmp_path / "pair.png"))
        means[cut] = np.asarray(Image.open(tmp_path / "pair.png").convert("L")).mean()
    # HR is a fourth as bright as LR here, bicubic half as bright.
    assert means[100] == pytest.approx(2 * means[0], rel=0.1)


def test_the_pointer_moves_the_slider(page):
    from selenium.webdriver import ActionChains

    loaded(page)
    pair, slider = find(page, "#compare .pair"), find(page, "#compare input[type=range]")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", pair)
    quarter = pair.size["width"] // 4
    ActionChains(page).move_to_element(pair).click_and_hold().move_by_offset(
        -quarter, 0
    ).release().perform()
    assert float(slider.get_attribute("value")) == pytest.approx(25, abs=1)


def test_a_picture_is_enlarged_beside_any_other(page):
    grid = page.find_elements("css selector", ".pictures")[0]
    page.execute_script("arguments[0].scrollIntoView()", grid)
    grid.find_elements("css selector", "a")[2].click()
    assert find(page, "#zoom").get_attribute("open")
    tags = [tag.text for tag in page.find_elements("css selector", "#zoom .tag")]
    assert tags == ["HR, 23.00 dB", "SRNTT, L1, 22.00 dB"]
    loaded(page)
    assert find(page, "#zoom .pair").size == {"width": 288, "height": 192}
    choose(page, "#zoom [data-role=size]", "8×")
    assert find(page, "#zoom .pair").size == {"width": 1152, "height": 768}
    choose(page, "#zoom [data-role=image]", "50 % of <b> #2")
    assert loaded(page)  # an image of an awkward name
    labels = [tag.text for tag in page.find_elements("css selector", "#zoom .tag")]
    assert labels == tags  # the choice stays
    find(page, "#zoom [data-role=close]").click()
    assert not find(page, "#zoom").get_attribute("open")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_but_tables_and_figures_is_wider_than_the_screen(page, width):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    try:
        wide = page.execute_script("return document.documentElement.scrollWidth")
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= width


def test_without_javascript_tables_and_pictures_are_there(browser, folder):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((folder / "index.html").as_uri())
        assert column(browser, 4) == ["24.18", "33.87", "26.40", "9.50", "inf"]
        assert not find(browser, "#compare").is_displayed()
        pictures = browser.find_elements("css selector", ".pictures img")
        assert [picture.is_displayed() for picture in pictures] == [True] * 5 + [False] * 5
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


# Without a browser


def test_nothing_is_taken_from_elsewhere(folder):
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"// .*", "", text))
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert [image["name"] for image in data] == ["001", "50 % of <b> #2"]
    assert "<b>" not in text
    assert text.count("</script>") == 2


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
