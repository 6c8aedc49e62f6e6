"""The participants' page in a browser: by mouse, keyboard and touch, with a server and without."""

import json
import re

import pytest

from srntt_pipeline.config import StudyReportParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.study.collect import collect_votes
from srntt_pipeline.study.page import server_page, static_page
from srntt_pipeline.study.report import study_report
from srntt_pipeline.study.store import read_votes
from tests.study.test_server import Server


@pytest.fixture(scope="module")
def study(tmp_path_factory, make):
    folder = tmp_path_factory.mktemp("paged") / "study"
    make(folder, pairs=3, repeats=1, checks=1)
    return folder


@pytest.fixture(scope="module")
def server(study):
    pytest.importorskip("uvicorn")
    one = Server(study)
    one.start()
    yield one
    one.process.kill()
    one.process.wait()


def test_pages_tell_neither_methods_nor_kinds(tmp_path, make):
    design = make(tmp_path / "study")
    for page in (static_page(design), server_page(design)):
        assert not re.search(r"SRNTT|SCN|Bicubic|repeat|check\b", page.split("<script>")[0])
        assert page.count("<script") == 2


def find(page, name):
    return page.find_element("id", name)


def wait(page, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(page, 30).until(lambda page: condition())


def begin(page, url, size):
    page.set_window_size(*size)
    page.get(url)
    find(page, "begin").click()
    wait(page, lambda: find(page, "choose-left").is_enabled())


def place(page):
    return find(page, "place").text


def box(page, name):
    return page.execute_script(
        "const r = document.getElementById(arguments[0]).getBoundingClientRect();"
        "return [r.left, r.top, r.width, r.height]",
        name,
    )


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_votes_by_click_and_key_reach_the_server(browser, server, size):
    from selenium.webdriver import ActionChains

    name = f"window-{size[0]}"
    begin(browser, f"http://127.0.0.1:{server.port}/?participant={name}", size)
    turns = place(browser).split(" of ")[1]
    assert place(browser) == f"1 of {turns}"
    # All of it is in sight, and the pictures are large.
    assert browser.execute_script(
        "return document.documentElement.scrollWidth <= innerWidth"
        " && document.documentElement.scrollHeight <= innerHeight"
    )
    width = browser.execute_script("return innerWidth")
    for side in ("left", "right"):
        view = box(browser, f"view-{side}")
        assert view[2] >= (0.45 if size[0] > 1000 else 0.95) * width
        assert view[3] > 200
    # Zoom is one for both.
    before = box(browser, "left")
    browser.find_element("tag name", "body").send_keys("+++")
    left, right = box(browser, "left"), box(browser, "right")
    assert left[2] > 3 * before[2] == pytest.approx(left[2] * 3 / 1.5**3, rel=1e-3)
    assert left[2:] == right[2:]
    ActionChains(browser).drag_and_drop_by_offset(find(browser, "view-right"), 30, 20).perform()
    moved = box(browser, "left")
    assert (moved[0], moved[1]) == pytest.approx((left[0] + 30, left[1] + 20), abs=1.5)
    offset = [b - a for a, b in zip(box(browser, "view-left"), moved, strict=True)][:2]
    others = [b - a for a, b in
              zip(box(browser, "view-right"), box(browser, "right"), strict=True)][:2]  # fmt: skip
    assert offset == pytest.approx(others, abs=0.5)
    find(browser, "fit").click()
    assert box(browser, "left") == pytest.approx(before, abs=0.5)

    find(browser, "choose-left").click()
    wait(browser, lambda: place(browser) == f"2 of {turns}")
    wait(browser, lambda: find(browser, "choose-left").is_enabled())
    browser.refresh()  # goes on where it was
    find(browser, "begin").click()
    wait(browser, lambda: place(browser) == f"2 of {turns}")
    for turn, key in enumerate(["\ue014", "a", "b", "\ue012"][: int(turns) - 1], 2):
        wait(browser, lambda: find(browser, "choose-left").is_enabled())
        assert place(browser) == f"{turn} of {turns}"
        browser.find_element("tag name", "body").send_keys(key)
        shown = f"{turn + 1} of {turns}"
        wait(
            browser,
            lambda shown=shown: place(browser) == shown or find(browser, "end").is_displayed(),
        )
    wait(browser, lambda: find(browser, "end").is_displayed())
    from srntt_pipeline.study.design import read_design

    votes = read_votes(server.study / "votes.sqlite", read_design(server.study))
    own = [vote.choice for vote in votes if vote.participant == name]
    assert own == ["left", "right", "left", "right", "left"][: int(turns)]
    assert browser.get_log("browser") == []


def test_two_fingers_zoom(browser, server):
    begin(browser, f"http://127.0.0.1:{server.port}/?participant=fingers", (390, 844))
    before = box(browser, "left")
    x, y, width, height = box(browser, "view-left")

    def touch(kind, spread):
        points = [{"x": x + width / 2 + sign * spread, "y": y + height / 2, "id": i}
                  for i, sign in enumerate((-1, 1))]  # fmt: skip
        browser.execute_cdp_cmd(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [] if kind == "touchEnd" else points},
        )

    touch("touchStart", 30)
    for spread in (40, 60, 90):
        touch("touchMove", spread)
    touch("touchEnd", 0)
    assert box(browser, "left")[2] > 2 * before[2]
    assert box(browser, "right")[2] == box(browser, "left")[2]


def test_votes_of_the_page_without_a_server_are_downloaded_and_collected(
    browser, make, tmp_path, caplog
):
    study = tmp_path / "study"
    design = make(study, pairs=3, repeats=1, checks=1, plans=3)
    downloads = tmp_path / "downloads"
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)}
    )
    url = (study / "index.html").as_uri()
    for plan, key in ((1, "a"), (2, "b")):
        begin(browser, f"{url}?participant=person-{plan}&plan={plan}", (1280, 900))
        for turn in range(1, design.settings.turns + 1):
            wait(browser, lambda: find(browser, "choose-left").is_enabled())
            assert place(browser) == f"{turn} of {design.settings.turns}"
            browser.find_element("tag name", "body").send_keys(key)
        wait(browser, lambda: find(browser, "download").is_displayed())
        find(browser, "download").click()
        file = downloads / f"votes-person-{plan}.json"
        wait(browser, file.exists)
    assert browser.get_log("browser") == []
    assert collect_votes(study, [downloads]) == 2 * design.settings.turns
    assert collect_votes(study, [downloads]) == 0  # twice is once
    votes = read_votes(study / "votes.sqlite", design)
    assert [vote.choice for vote in votes] == ["left"] * 5 + ["right"] * 5

    changed = json.loads((downloads / "votes-person-1.json").read_text())
    changed["votes"][0]["choice"] = "right"
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    with pytest.raises(InputError, match=r"changed\.json: participant person-1 has other votes"):
        collect_votes(study, [tmp_path / "changed.json"])
    params = StudyReportParams(least_right=0, resamples=100)
    assert study_report(study, tmp_path / "report", params)
