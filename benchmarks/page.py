"""The results page at CUFED5's size: how large it is, how long it takes to make and to open.

126 images of 500×332 px, 10 methods, 7 references each. Nothing is super-resolved: HR are parts of
photographs (../shared/data/albums, or the demo's), SR lies between bicubic and HR, a step further
for each method and reference, with some noise, so that files compress about as real ones do. It is
opened in Chromium, from file://, with a fresh profile, if chromedriver and selenium are there.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from photographs import album
from PIL import Image
from timing import processor

from srntt_pipeline.evaluation.measure import GroupJob
from srntt_pipeline.evaluation.paths import image_path
from srntt_pipeline.evaluation.pictures import LR_IMAGE, REFERENCES
from srntt_pipeline.evaluation.protocols import get_protocols
from srntt_pipeline.evaluation.report import write_report
from srntt_pipeline.evaluation.tables import summarise
from srntt_pipeline.images import RGB, downscale, read_rgb, upscale
from srntt_pipeline.layout import Group
from srntt_pipeline.methods import Method
from srntt_pipeline.methods.method import ALL, HR_WARP, LR, NONE
from srntt_pipeline.outputs import open_output

HEIGHT, WIDTH = 332, 500
LEVELS = ("L1", "L2", "L3", "L4")
USED = (HR_WARP, *LEVELS, LR, ALL)
PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "albums"
PROTOCOLS = ("luma", "paper-urban100", "rgb")
# Runs in the page before its own scripts: when the first row of a table was first painted.
WATCH = """
const watch = () => {
  const row = document.querySelector("table tbody tr");
  const seen = row?.checkVisibility({ visibilityProperty: true });
  if (seen && row.getBoundingClientRect().height) {
    requestAnimationFrame(() => { window.tablePainted = performance.now(); });
  } else requestAnimationFrame(watch);
};
watch();
"""


class Named(Method):
    """A method that has a name; its SR is there already."""

    def __init__(self, number: int) -> None:
        self.name = f"Method {number + 1}"


def photographs() -> Iterator[RGB]:
    """Yield parts of photographs, [332, 500, 3], each another one, for ever."""
    paths = sorted(PHOTOS.rglob("*.[jJ][pP]*[gG]"))
    photos = [read_rgb(path) for path in paths] or album(1024)
    rng = np.random.default_rng(0)
    while True:
        for photo in photos:
            top = rng.integers(photo.shape[0] - HEIGHT + 1)
            left = rng.integers(photo.shape[1] - WIDTH + 1)
            yield photo[top : top + HEIGHT, left : left + WIDTH]


def save(path: Path, image: RGB) -> None:
    """Write a PNG quickly; `images/` is no part of what is measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, compress_level=1)


def results(dataset: Path, out: Path, number: int, methods: int) -> list[dict[str, Any]]:
    """Write the images of an evaluation; return rows as in per_image.csv, of the main protocol."""
    parts, rng, rows = photographs(), np.random.default_rng(1), []
    for name in (f"{i:03}" for i in range(number)):
        hr, *refs = (next(parts) for _ in range(1 + len(LEVELS)))
        save(dataset / f"{name}_0.png", hr)
        for level, ref in zip(LEVELS, refs, strict=True):
            save(dataset / f"{name}_{level}.png", ref)
        save(out / image_path(REFERENCES, HR_WARP, name), np.ascontiguousarray(hr[::-1, ::-1]))
        save(out / image_path(LR_IMAGE, NONE, name), downscale(hr))
        base = upscale(downscale(hr)).astype(np.float32)
        lost, noise = hr - base, rng.normal(0, 1, (HEIGHT, WIDTH, 1)).astype(np.float32)
        for method in (Named(i) for i in range(methods)):
            for place, reference in enumerate(USED):
                share = np.float32((rng.random() + len(USED) - place) / 10)
                noise = np.roll(noise, 7, axis=0)
                level = np.float32(2 * rng.random())
                sr = np.clip(base + share * lost + level * noise, 0, 255).astype(np.uint8)
                path = image_path(method.name, reference, name)
                save(out / path, sr)
                error = np.mean((sr.astype(np.float32) - hr) ** 2)
                rows.append(
                    {"dataset": "CUFED5", "image": name, "method": method.name,
                     "reference": reference, "reference_images": len(LEVELS),
                     "psnr_db": float(10 * np.log10(255**2 / error)), "ssim": float(share),
                     "picture": path.as_posix()}
                )  # fmt: skip
    return rows


def megabytes(paths: Iterator[Path]) -> float:
    """Return the size of files in MB."""
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def build(dataset: Path, out: Path, rows: list[dict[str, Any]], methods: int) -> None:
    """Write the page as `evaluate` does, with the rows in three protocols."""
    protocols = get_protocols(PROTOCOLS)
    per_image = [{**row, **protocol.columns} for protocol in protocols for row in rows]
    groups = [
        Group(name, dataset / f"{name}_0.png", {s: dataset / f"{name}_{s}.png" for s in LEVELS})
        for name in dict.fromkeys(row["image"] for row in rows)
    ]
    named = tuple(Named(i) for i in range(methods))
    jobs = [GroupJob("CUFED5", g, USED, protocols, (), 0, out, named, "cpu") for g in groups]
    with open_output(out, "evaluation") as output:
        write_report(
            output,
            table=summarise(per_image),
            per_image=per_image,
            protocols=protocols,
            jobs=jobs,
            run={"benchmark": True},
            notes=[],
        )


def opened(page: Path) -> dict[str, float]:
    """Return seconds from the navigation on: table painted, load event, the next image shown."""
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    binary = shutil.which("chromium") or shutil.which("google-chrome")
    options = webdriver.ChromeOptions()
    options.binary_location = binary or ""
    with tempfile.TemporaryDirectory() as profile:
        for flag in ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            driver.set_window_size(1280, 900)
            driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
            driver.get(page.as_uri())
            wait = WebDriverWait(driver, 120)
            wait.until(lambda d: d.execute_script("return window.tablePainted"))
            painted, load = driver.execute_script(
                "return [window.tablePainted,"
                " performance.getEntriesByType('navigation')[0].loadEventEnd]"
            )
            start = time.perf_counter()
            driver.execute_script(
                "document.querySelector('[value=side]').click();"
                "document.querySelector('[data-role=next]').click()"
            )
            arrived = "return [...document.querySelectorAll('.tiles img')].every((i) => i.complete)"
            wait.until(lambda d: d.execute_script(arrived))
            shown = time.perf_counter() - start
        finally:
            driver.quit()
    return {
        "first row of the table painted": painted / 1000,
        "load event": load / 1000,
        "details of the next image side by side": shown,
    }


def main() -> None:
    """Make a page and print its size and times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=126)
    parser.add_argument("--methods", type=int, default=10)
    parser.add_argument("--keep", type=Path, help="make it in this folder and keep it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        dataset, out = folder / "dataset", folder / "results"
        with open_output(out, "evaluation"):
            rows = results(dataset, out, options.images, options.methods)
        size = f"{options.images} images, {options.methods} methods, {len(USED)} references"
        print(f"{size} ({processor()}, one process)")
        for what in ("made", "made again, with previews there"):
            start, worked = time.perf_counter(), time.process_time()
            build(dataset, out, rows, options.methods)
            taken, worked = time.perf_counter() - start, time.process_time() - worked
            print(f"  {what:<42} {taken:8.0f} s, of which the processor worked {worked:.0f} s")
        index = out / "index.html"
        parts = {"index.html": [index]}
        parts |= {f"page/{part.name}": part.rglob("*") for part in sorted((out / "page").iterdir())}
        parts["grids"] = (out / "grids").rglob("*")
        total = 0.0
        for name, paths in parts.items():
            total += (own := megabytes(iter(paths)))
            print(f"  {name:<42} {own:8.1f} MB")
        print(f"  {'in all':<42} {total:8.1f} MB")
        try:
            times = opened(index)
        except ImportError:
            print("  not opened: selenium is not installed")
            return
        for name, taken in times.items():
            print(f"  {name:<42} {taken:8.2f} s")


if __name__ == "__main__":
    main()
