"""What the page is made of, without a browser: marked tables, short data, previews and details."""

import json
from dataclasses import astuple

import numpy as np
import pytest
from PIL import Image

from srntt_pipeline.degradation import PAPER_MAKING
from srntt_pipeline.evaluation.detail import Detail
from srntt_pipeline.evaluation.page_data import Picture, Shown, page_data
from srntt_pipeline.evaluation.page_tables import page_table
from srntt_pipeline.evaluation.paths import PAGE
from srntt_pipeline.evaluation.previews import (
    PREVIEW_PX,
    REFERENCE_PX,
    PreviewJob,
    detail_path,
    group_files,
    hr_path,
    make_previews,
    preview_path,
    reference_path,
)
from srntt_pipeline.images import write_png
from srntt_pipeline.layout import Group


def row(method, reference, psnr, **more):
    return {"method": method, "reference": reference, "protocol": "luma", "images": 2,
            "psnr_db": psnr, **more}  # fmt: skip


def marked(table, heading):
    """The cells of a column: text, and b for the best with its reference, t for that of all."""
    place = [name for name, _ in table.head].index(heading)
    cells = [line[place] for line in table.rows]
    return [cell.text + " b" * cell.best + " t" * cell.top for cell in cells]


def test_the_best_is_marked_with_its_reference_and_of_all_but_hr():
    table = page_table(
        [
            row("A", "none", 25.0, ssim=0.8, lpips=0.3),
            row("B", "none", 25.004, ssim=0.7, lpips=0.2),
            row("A", "L1", 27.0, ssim=0.9),
            row("B", "L1", "inf", ssim=0.85),
            row("A", "L2", 26.0, ssim=0.95),
            row("A", "HR (warp)", 30.0, ssim=0.99),
            row("B", "HR (warp)", 31.0, ssim=0.98),
        ]
    )
    assert marked(table, "PSNR (dB)") == [
        "25.00 b", "25.00 b", "27.00", "inf b t", "26.00", "30.00", "31.00 b",
    ]  # fmt: skip
    assert marked(table, "SSIM") == [
        "0.8000 b", "0.7000", "0.9000 b", "0.8500", "0.9500 t", "0.9900 b", "0.9800",
    ]  # fmt: skip
    assert marked(table, "LPIPS") == ["0.3000", "0.2000 b t", *[""] * 5]  # the least is best
    assert not any(cell.best or cell.top for line in table.rows for cell in line if cell.words)
    assert table.head[-1] == ("Images", False)


def test_one_row_has_no_best():
    assert marked(page_table([row("A", "none", 25.0)]), "PSNR (dB)") == ["25.00"]


def urls(data, image):
    return [
        data["patterns"][place].replace("*", image["file"])
        for picture in image["pictures"]
        for place in picture[2:5]
        if place >= 0
    ]


def test_the_data_name_what_images_have_in_common_once():
    def shown(name):
        sr, hr = (PAGE.with_name("images") / f / f"{name}.png" for f in ("a * b", "hr"))
        return Shown(
            name,
            [
                Picture("A", sr, "output", "1 dB", (4, 8), "L1", preview_path(sr), detail_path(sr)),
                Picture("HR", hr, "truth", size=(4, 8)),
                Picture("L1", reference_path("L1", name), "reference", size=(3, 5)),
            ],
            detail=Detail(2, 1, 4, 3),
        )

    data = page_data([shown("x* y"), shown("é")])
    assert [len(data[key]) for key in ("series", "patterns", "images")] == [3, 5, 2]
    first, second = data["images"]
    assert (first["size"], first["detail"]) == ((8, 4), [2, 1, 4, 3])  # width before height
    assert [picture[5:] for picture in first["pictures"]] == [[], [], [5, 3]]
    assert urls(data, first) == [
        "images/a%20%2A%20b/x%2A%20y.png", "page/previews/a%20%2A%20b/x%2A%20y.webp",
        "page/details/a%20%2A%20b/x%2A%20y.webp", "images/hr/x%2A%20y.png",
        "page/references/l1/x%2A%20y.webp",
    ]  # fmt: skip
    assert urls(data, second)[0] == "images/a%20%2A%20b/%C3%A9.png"
    assert data["series"][0] == {"label": "A", "kind": "output", "reference": "L1"}


def test_data_of_cufed5s_size_stay_short():
    """126 images, 10 methods, 7 references."""
    folder = PAGE.with_name("images")
    shown = []
    for name in (f"{i:03}" for i in range(126)):
        paths = [
            (m, r, folder / f"m{m}" / f"l{r}" / f"{name}.png") for m in range(10) for r in "0123456"
        ]
        pictures = [
            Picture(f"Method {m}, L{r}", path, "output", "25.12 dB", (332, 500), f"L{r}",
                    preview_path(path), detail_path(path))
            for m, r, path in paths
        ]  # fmt: skip
        shown.append(Shown(name, pictures, detail=Detail(0, 0, 124, 80)))
    assert len(json.dumps(page_data(shown), separators=(",", ":"))) < 400_000


@pytest.fixture
def job(tmp_path, photograph):
    hr, sr = tmp_path / "hr.png", tmp_path / "out" / "images" / "a" / "none" / "001.png"
    Image.fromarray(photograph[:201, :301]).save(hr)  # cut to multiples of 4 px
    Image.fromarray(np.tile(photograph, (1, 2, 1))).save(tmp_path / "ref.png")
    sr.parent.mkdir(parents=True)
    write_png(sr, photograph[:200, :300] // 2, "made from something")
    group = Group("001", hr, {"L1": tmp_path / "ref.png"})
    return PreviewJob(tmp_path / "out", group, PAPER_MAKING, (sr.relative_to(tmp_path / "out"),))


def read(path):
    return np.asarray(Image.open(path).convert("RGB"))


def test_details_are_exact_and_previews_small(job, photograph):
    sizes = make_previews(job)
    left, top, width, height = astuple(sizes.detail)
    assert (sizes.hr, height, width) == ((200, 300), 48, 48)
    [sr] = job.pictures
    hr = hr_path("001")
    for path, whole in ((sr, photograph[:200, :300] // 2), (hr, photograph[:200, :300])):
        assert (read(job.out / path) == whole).all()
        detail = read(job.out / detail_path(path))
        assert (detail == whole[top : top + height, left : left + width]).all()
        small = Image.open(job.out / preview_path(path))
        assert small.size == (PREVIEW_PX, 107)
        lanczos = Image.fromarray(whole).resize(small.size, Image.Resampling.LANCZOS)
        assert np.abs(read(job.out / preview_path(path)) - np.asarray(lanczos, float)).mean() < 8
    kept = Image.open(job.out / reference_path("L1", "001"))
    assert kept.size == (REFERENCE_PX, 320)
    assert sizes.references == {"L1": (320, REFERENCE_PX)}
    there = {path for path in job.out.rglob("*") if path.is_file()}
    assert there == {job.out / path for path in [sr, *group_files(job.group, [sr])]}


def test_previews_are_made_again_of_another_picture_alone(job, photograph):
    make_previews(job)

    def contents():
        return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in job.out.rglob("*.webp")}

    before = contents()
    make_previews(job)
    assert contents() == before
    [sr] = job.pictures
    write_png(job.out / sr, photograph[:200, :300] // 3, "made from something else")
    make_previews(job)
    changed = {path for path, content in contents().items() if content != before[path]}
    assert changed == {job.out / preview_path(sr), job.out / detail_path(sr)}


def test_a_spoilt_preview_is_made_again(job):
    make_previews(job)
    [sr] = job.pictures
    detail = job.out / detail_path(sr)
    whole = detail.read_bytes()
    detail.write_bytes(b"RIFF")
    make_previews(job)
    assert detail.read_bytes() == whole
