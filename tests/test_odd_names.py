"""File names that are odd but legal, through a build, a rebuild, an evaluation and its tables."""

import csv
import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote

from PIL import Image

from srntt_pipeline.albums.build import build_cufed5
from srntt_pipeline.albums.diff import diff_manifests
from srntt_pipeline.albums.manifest import read_manifests
from srntt_pipeline.albums.rebuild import rebuild_cufed5
from srntt_pipeline.albums.stats import manifest_stats
from srntt_pipeline.config import BuildParams, EvaluateParams, TablesParams
from srntt_pipeline.evaluation.evaluate import evaluate
from srntt_pipeline.evaluation.paper_tables import paper_tables
from srntt_pipeline.evaluation.results import read_results
from srntt_pipeline.text import printable

NAMES = [
    "$x^_$", "=1+1", "-rf \u202egpj", "a b\"c' #1 50% ?", "new\nline", "\x1b[31mred", "'=😀 \u05d0",
    "&<script>alert(1)<", "x" * 240, "tab\tcr\r \\write18{id}",
]  # fmt: skip
ALBUMS = ["=album\n$\\frac$", "-<b>\x1b[2J"]
PARAMS = BuildParams(
    long_side_px=96, crop_px=48, levels=2, levels_by="quantiles", crop_matches=1, train_pairs=20,
    test_groups=0, crops_per_pair=1, test_albums=0, near_duplicate_share=1,
)  # fmt: skip


def save(photograph, path, number, side=(96, 96)):
    path.parent.mkdir(parents=True, exist_ok=True)
    top, left = 40, 100 + 6 * number
    view = photograph[top : top + side[0], left : left + side[1]]
    Image.fromarray(view).save(path)


def test_photos_of_odd_names_are_built_and_found_again(tmp_path, photograph, contents):
    albums = tmp_path / "albums"
    for number, name in enumerate(NAMES):
        save(photograph, albums / ALBUMS[number // 5] / f"{name}.png", number % 5)
    build_cufed5(albums, tmp_path / "out", PARAMS, workers=1)
    data = read_manifests(tmp_path / "out")
    (album,) = {row.album for row in data.train}  # one of two is kept for testing
    own = NAMES[:5] if album == ALBUMS[0] else NAMES[5:]
    assert {row.hr_photo for row in data.train} == {f"{name}.png" for name in own}
    again = tmp_path / "again"
    rebuild_cufed5(tmp_path / "out" / "manifests", albums, again, allow_missing=False, workers=1)
    built, rebuilt = contents(tmp_path / "out"), contents(again)
    assert [name for name in rebuilt if rebuilt[name] != built[name]] == []
    for row in csv.reader((again / "manifests" / "train.csv").open(newline="")):
        assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]

    fewer = PARAMS.model_copy(update={"train_pairs": 4})
    build_cufed5(albums, tmp_path / "fewer", fewer, workers=1)
    for text in (diff_manifests(again, tmp_path / "fewer"), manifest_stats(again, None)):
        assert r"-<b>\x1b[2J" in text
        assert not set(text) & set("\x1b\u202e\r\t")


def test_images_of_odd_names_are_on_the_page_and_in_the_tables(tmp_path, photograph):
    folder = tmp_path / "X\n\\immediate\\write18{id} <script>$x^_$"
    for number, name in enumerate(NAMES):
        save(photograph, folder / f"{name[:220]}.png", number, (24, 24))
    out = tmp_path / "out"
    evaluate(folder, out, EvaluateParams(protocol=("rgb",)), workers=1)
    names = {path.stem for path in folder.iterdir()}
    text = (out / "index.html").read_text(encoding="utf-8")
    sources = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            sources.extend(value for name, value in attrs if (tag, name) == ("img", "src"))

    Reader().feed(text)
    assert text.count("<script") == 3
    assert not set(text) & set("\x1b\u202e\r")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    assert {image["name"] for image in data["images"]} == set(map(printable, names))
    sources += [
        data["patterns"][place].replace("*", image["file"])
        for image in data["images"]
        for picture in image["pictures"]
        for place in picture[2:5]
        if place >= 0
    ]
    assert len(sources) >= 6 * len(names)
    assert [source for source in sources if not (out / unquote(source)).is_file()] == []
    assert "<script" not in (out / "table.md").read_text(encoding="utf-8")

    results = read_results([out])
    assert results.datasets == [folder.name]
    assert [row["images"] for row in results.table.values()] == [len(names)]
    paper_tables([out], tmp_path / "tables", TablesParams())
    for path in (tmp_path / "tables").glob("*.tex"):
        for line in path.read_text(encoding="utf-8").splitlines():
            assert line.startswith("%") or "\\write18" not in line
