"""The pictures of the page in a browser: divider, side by side, zoom, keyboard, touch, axe's rules.

axe-core is looked for in `SRNTT_AXE`, a path of axe.min.js, and else in node_modules, where
`npm install --no-save axe-core` puts it; without it that test skips. `.ci/run` gets it.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.evaluation.page import Description, write_page
from tests.evaluation.page_pictures import DETAIL, write_pictures

ROOT = Path(__file__).parents[2]
AXE = Path(os.environ.get("SRNTT_AXE") or ROOT / "node_modules" / "axe-core" / "axe.min.js")
TAB, ENTER, SPACE, LEFT, UP, RIGHT = "\ue004", "\ue007", "\ue00d", "\ue012", "\ue013", "\ue014"
SHIFT, END, ESCAPE = "\ue008", "\ue010", "\ue00c"
ROWS = [
    {"method": method, "reference": "none", "protocol": protocol, "images": 3, "psnr_db": psnr}
    for protocol in ("luma", "rgb")
    for method, psnr in (("Bicubic", 24.0), ("SRNTT", 26.0), ("EDSR", 25.0))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photograph):
    out = tmp_path_factory.mktemp("viewer")
    shown = [
        write_pictures(out, photograph[top : top + 96, 160:304], f"{top:03}")
        for top in (0, 100, 200)
    ]
    provenance = {"Run": [("seed", "0")], "Second": [("a", "b")]}
    description = Description(
        "CUFED5", notes=["A note."], protocols={"luma": "Y."}, shown=shown, made_of=provenance
    )
    write_page(out, description, ROWS)
    return out


@pytest.fixture
def page(browser, folder):
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.set_window_size(1280, 1000)
    browser.get((folder / "index.html").as_uri())
    find(browser, "#viewer").click()
    loaded(browser)
    yield browser
    assert browser.get_log("browser") == []


def find(page, css):
    return page.find_element("css selector", css)


def part(page, role):
    return find(page, f"#viewer [data-role={role}]")


def status(page):
    return find(page, "#viewer .status").text


def zoom(page):
    return float(status(page).split("Zoom ")[1].removesuffix("×."))


def choose(page, role, text):
    from selenium.webdriver.support.ui import Select

    Select(part(page, role)).select_by_visible_text(text)


def chosen(page, role):
    from selenium.webdriver.support.ui import Select

    return Select(part(page, role)).first_selected_option.text


def port(page, number=0, mode="divider"):
    found = page.find_elements("css selector", f"[data-mode={mode}] .port")[number]
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
    return found


def place(page, mode):
    """Where the layers of that mode stand: left, top, scale."""
    return page.execute_script(
        "const s = document.querySelector(`[data-mode=${arguments[0]}] .stage`).style;"
        "return ['--left', '--top', '--scale'].map((name) => parseFloat(s.getPropertyValue(name)))",
        mode,
    )


def loaded(page):
    """Wait until every picture in the viewer is there."""
    from selenium.webdriver.support.ui import WebDriverWait

    script = "return [...document.querySelectorAll('.port img')].every((i) => i.naturalWidth > 0)"
    assert WebDriverWait(page, 10).until(lambda page: page.execute_script(script))


def press(page, *keys, held=None):
    from selenium.webdriver import ActionChains

    actions = ActionChains(page)
    if held:
        actions.key_down(held)
    actions.send_keys(*keys)
    if held:
        actions.key_up(held)
    actions.perform()


def wheel(page, element, by):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    page.execute_async_script("setTimeout(arguments[0], 300)")  # no scrolling of the page goes on
    ActionChains(page).scroll_from_origin(ScrollOrigin.from_element(element), 0, by).perform()


def touch(page, kind, *points):
    fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})


def middle(page, element):
    box = page.execute_script("return arguments[0].getBoundingClientRect().toJSON()", element)
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_divider_shows_more_of_the_left_picture(page, tmp_path):
    choose(page, "left", "Bicubic")
    loaded(page)
    means = {}
    for key, name in ((LEFT, "right"), (RIGHT, "left")):
        part(page, "cut").send_keys(*[key] * 101)
        port(page).screenshot(str(tmp_path / "port.png"))
        shown = np.asarray(Image.open(tmp_path / "port.png").convert("L"))
        means[name] = shown[50:-50].mean()
    # HR is a fourth as bright as it was here, bicubic half as bright.
    assert means["left"] == pytest.approx(2 * means["right"], rel=0.1)


@pytest.mark.parametrize("start", [-0.4, 0.0, 0.3])
def test_dragging_moves_the_divider_wherever_it_begins(page, start):
    from selenium.webdriver import ActionChains

    element = port(page)
    width = element.size["width"]
    drag = ActionChains(page).move_to_element_with_offset(element, round(start * width), 40)
    drag.click_and_hold().move_by_offset(round(0.1 * width), 5).release().perform()
    wanted = 100 * (0.5 + start + 0.1)
    assert float(part(page, "cut").get_property("value")) == pytest.approx(wanted, abs=1)
    assert zoom(page) == pytest.approx(element.size["width"] / 144, abs=0.01)


def test_the_wheel_zooms_at_the_pointer_and_never_below_the_whole(page):
    element = port(page)
    whole = zoom(page)
    wheel(page, element, -400)
    left, top, scale = place(page, "divider")
    assert scale == pytest.approx(whole * np.exp(250 / 400), rel=0.02)
    width, height = element.size["width"], element.size["height"]
    assert (width / 2 - left) / scale == pytest.approx(72, abs=1)  # the middle stayed
    assert (height / 2 - top) / scale == pytest.approx(48, abs=1)
    for _ in range(3):
        wheel(page, port(page), 250)
    assert zoom(page) == whole


def test_two_fingers_zoom_and_one_moves_the_divider(page):
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        whole = zoom(page)
        x, y = middle(page, port(page))
        touch(page, "touchStart", (x - 40, y), (x + 40, y))
        for apart in (50, 60, 70, 80):
            touch(page, "touchMove", (x - apart, y), (x + apart, y))
        touch(page, "touchEnd")
        assert zoom(page) == pytest.approx(2 * whole, rel=0.02)
        touch(page, "touchStart", (x, y))
        touch(page, "touchMove", (x + 60, y))
        touch(page, "touchEnd")
        wanted = 50 + 100 * 60 / port(page).size["width"]
        assert float(part(page, "cut").get_property("value")) == pytest.approx(wanted, abs=1)
        assert zoom(page) == pytest.approx(2 * whole, rel=0.02)
    finally:
        page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_side_by_side_all_move_in_step(page, tmp_path):
    from selenium.webdriver import ActionChains

    find(page, "[value=side]").click()
    loaded(page)
    tiles = page.find_elements("css selector", ".tiles figure")
    assert [tile.text.split(" 2")[0] for tile in tiles] == ["LR", "Bicubic", "SRNTT, L1", "HR"]
    width = DETAIL.width
    size = port(page, 1, "side").size
    assert zoom(page) == pytest.approx(size["width"] / width, abs=0.02)
    assert not page.find_elements("css selector", ".tiles .truth .full")  # not asked for yet
    before = place(page, "side")
    drag = ActionChains(page).move_to_element(port(page, 3, "side")).click_and_hold()
    drag.move_by_offset(30, -20).release().perform()
    after = place(page, "side")
    assert [after[0] - before[0], after[1] - before[1]] == pytest.approx([30, -20], abs=1)
    assert after[2] == before[2]
    loaded(page)
    assert len(page.find_elements("css selector", ".tiles .full")) == 4  # and now they are
    # Every tile shows the same part: they differ in brightness alone (LR in detail too).
    shots = []
    for number in (1, 2, 3):
        port(page, number, "side").screenshot(str(tmp_path / "tile.png"))
        shots.append(np.asarray(Image.open(tmp_path / "tile.png").convert("L"), np.float64))
    for shot in shots[1:]:
        assert np.corrcoef(shots[0].ravel(), shot.ravel())[0, 1] > 0.98
    wheel(page, port(page, 2, "side"), -100)
    assert place(page, "side")[2] > after[2]


def test_a_reference_is_chosen_side_by_side(page):
    find(page, "[value=side]").click()
    options = [option.text for option in part(page, "reference").find_elements("css selector", "*")]
    assert options == ["every one", "L1"]
    choose(page, "reference", "L1")
    assert len(page.find_elements("css selector", ".tiles figure")) == 4  # of none, and of L1


def test_a_preview_opens_its_picture_beside_hr(page):
    find(page, "#shown .pictures figure:nth-child(2) a").click()
    assert find(page, "#large").get_attribute("open")
    assert (chosen(page, "left"), chosen(page, "right")) == ("Bicubic", "HR")
    loaded(page)
    assert port(page).size["height"] > 400
    press(page, ESCAPE)
    assert not find(page, "#large").get_attribute("open")
    page.execute_async_script("setTimeout(arguments[0], 200)")
    assert part(page, "image").is_displayed()  # the viewer is back on the page
    assert page.switch_to.active_element == part(page, "enlarge")


def test_the_keyboard_alone_does_everything(page):
    def to(element, back=False):
        for _ in range(60):
            if page.switch_to.active_element == element:
                return
            press(page, TAB, held=SHIFT if back else None)
        raise AssertionError("cannot be reached by Tab")

    page.refresh()
    press(page, TAB)
    assert page.switch_to.active_element.text == "Skip to the numbers"
    press(page, ENTER, TAB)
    assert page.switch_to.active_element.get_attribute("role") == "tab"
    press(page, RIGHT)
    assert find(page, "#protocol-2").is_displayed()
    to(find(page, "#protocol-2 th:nth-child(3) button"))
    press(page, SPACE)
    assert find(page, "#protocol-2 td:nth-child(1)").text == "SRNTT"
    to(part(page, "image"))
    press(page, "1")  # as lists do it: the first option that begins so
    assert status(page).startswith("Image 2 of 3: 100.")
    to(part(page, "next"))
    press(page, ENTER)
    assert status(page).startswith("Image 3 of 3: 200.")
    to(find(page, "[data-mode=divider] .stage"))
    press(page, LEFT)
    assert status(page).startswith("Image 2 of 3: 100.")
    assert find(page, "#shown h3").text == "100"
    whole = zoom(page)
    press(page, "++")
    assert zoom(page) == pytest.approx(2.25 * whole, abs=0.02)
    before = place(page, "divider")
    press(page, RIGHT, UP, held=SHIFT)
    after = place(page, "divider")
    assert [after[0] - before[0], after[1] - before[1]] == pytest.approx([-60, 60], abs=1)
    press(page, "-")
    assert zoom(page) == pytest.approx(1.5 * whole, abs=0.02)
    press(page, "0")
    assert zoom(page) == whole
    to(part(page, "cut"))
    press(page, RIGHT, RIGHT)
    assert part(page, "cut").get_property("value") == "52"
    assert part(page, "cut").get_attribute("aria-valuetext") == "52 % of the left picture"
    assert status(page).startswith("Image 2 of 3: 100.")  # the slider has the arrows for itself
    to(find(page, "[value=divider]"), back=True)
    press(page, RIGHT)
    assert find(page, ".tiles").is_displayed()
    to(part(page, "enlarge"))
    press(page, ENTER)
    assert find(page, "#large").get_attribute("open")
    press(page, ESCAPE)
    assert not find(page, "#large").get_attribute("open")


def test_nothing_jumps_while_pictures_arrive(page):
    """Even on a machine so slow that it paints before the script at the end has run."""
    page.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": 30})
    page.refresh()
    loaded(page)
    page.execute_cdp_cmd("Emulation.setCPUThrottlingRate", {"rate": 1})
    shifts = page.execute_async_script(
        "const found = []; new PerformanceObserver((list) => {"
        " for (const entry of list.getEntries()) found.push([entry.value, ...entry.sources.map("
        "  (source) => source.node?.outerHTML?.slice(0, 60) ?? source.node?.nodeName)]);"
        "}).observe({ type: 'layout-shift', buffered: true });"
        "const done = arguments[0]; setTimeout(() => done(found), 500)"
    )
    assert sum(value for value, *_ in shifts) < 0.01, shifts
    unsized = "return [...document.querySelectorAll('#shown img')].filter((i) => !i.width).length"
    part(page, "next").click()
    assert page.execute_script(unsized) == 0


def test_previews_stand_for_pngs_that_are_not_there(page, folder):
    (folder / "images" / "3" / "100.png").rename(folder / "kept.png")
    try:
        part(page, "next").click()
        page.execute_async_script("setTimeout(arguments[0], 500)")
        assert "Some full pictures are not beside this page" in status(page)
        assert find(page, "[data-mode=divider] .half.right .preview").get_property("naturalWidth")
    finally:
        (folder / "kept.png").rename(folder / "images" / "3" / "100.png")
    assert "ERR_FILE_NOT_FOUND" in str(page.get_log("browser"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_serious_violation(page, width, scheme):
    if not AXE.is_file():
        pytest.skip("needs axe-core: npm install --no-save axe-core, or name axe.min.js: SRNTT_AXE")
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    colours = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", colours)
    page.execute_script(AXE.read_text(encoding="utf-8"))
    for state in ("", "[value=side]", "[data-role=enlarge]"):
        if state:
            page.execute_script("document.querySelector(arguments[0]).click()", state)
        loaded(page)
        found = page.execute_async_script(
            "const done = arguments[0];"
            "axe.run().then((r) => done(r.violations.map((v) => [v.impact, v.id,"
            " v.nodes.map((n) => n.html)])))"
        )
        assert [one for one in found if one[0] in ("serious", "critical")] == []


CONTROLS = ("#viewer select", "[data-role=next]", "[role=tab]")
TEXTS = (
    "td", "th button", "[role=tab]", ".notes li", "nav a", ".skip", "figcaption", "#shown small",
    ".status", "#viewer label", "#viewer button", "summary", ".facts dt", ".tag",
)  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_edges_of_controls_are_seen(page, scheme):
    """WCAG 1.4.3 and 1.4.11: 4.5:1 of text, 3:1 of the edge of a control, to what is behind."""
    colours = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", colours)
    for found, least, property_, first in (
        (CONTROLS, 3, "borderTopColor", "e.parentElement"),
        (TEXTS, 4.5, "color", "e"),
    ):
        for css in found:
            front, behind = page.execute_script(
                "const e = document.querySelector(arguments[0]);"
                f"let p = {first}; const of = (x) => getComputedStyle(x);"
                "while (of(p).backgroundColor === 'rgba(0, 0, 0, 0)') p = p.parentElement;"
                "return [of(e)[arguments[1]], of(p).backgroundColor]",
                css,
                property_,
            )
            assert contrast(front, behind) >= least, (css, front, behind)


def contrast(one, other):
    """The ratio of WCAG's relative luminances, of colours as `rgb(1, 2, 3)`."""

    def luminance(colour):
        values = np.array([float(v) for v in colour.split("(")[1].rstrip(")").split(",")[:3]]) / 255
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)
