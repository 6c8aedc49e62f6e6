"""One large album against as many photos in many: core time of a photo and a pair, peak memory.

Run `python benchmarks/albums.py`. The photos are `memory.py`'s; each build runs in processes of its
own, in turns with the other. Times are those of the cores, which what else the machine does changes
least.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from memory import PARAMS, core_seconds, peaks, synthetic_albums
from timing import processor

from srntt_pipeline.albums.build import build_cufed5
from srntt_pipeline.albums.photos import find_albums
from srntt_pipeline.albums.prepare import album_jobs, count_all, extract_all
from srntt_pipeline.parallel import default_workers

IN_AN_ALBUM = 40
BANDS = {"levels_by": "bands", "bands": (40, 20, 10, 5), "train_pairs": 100}
BUILD = PARAMS.model_copy(update=BANDS)  # quantiles would call unrelated photos of one album pairs


def child(albums: Path, out: Path, workers: int) -> None:
    """Build; print core seconds of features, counts, the rest; then s, MiB, pairs, files."""
    found, _ = find_albums(albums)
    jobs = album_jobs(found, out, BUILD, "cpu")
    pairs = sum(len(album.photos) * (len(album.photos) - 1) // 2 for album in found)
    times = [core_seconds()]
    photos = extract_all([job for album in jobs for job in album.features], workers)
    times.append(core_seconds())
    start = time.perf_counter()
    count_all([job for album in jobs for job in album.counts], photos, workers)
    taken = time.perf_counter() - start
    times.append(core_seconds())
    build_cufed5(albums, out, BUILD, workers=workers, device="cpu")
    times.append(core_seconds())
    files = sum(1 for path in (out / "work").rglob("*") if path.is_file())
    print(json.dumps([*np.diff(times), taken, *peaks(), pairs, files]))


def main() -> None:
    """Print a line for either way, and the ratio of their times per pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child, options.workers)
        return
    print(f"{options.photos} photos, {options.workers} workers, {processor()}")
    with tempfile.TemporaryDirectory() as folder:
        many, one = Path(folder, "many"), Path(folder, "one")
        synthetic_albums(many, options.photos // IN_AN_ALBUM, IN_AN_ALBUM, options.workers)
        (one / "album").mkdir(parents=True)
        for photo in sorted(many.rglob("*.png")):
            (one / "album" / f"{photo.parent.name}-{photo.name}").hardlink_to(photo)
        runs: dict[Path, list[list[float]]] = {many: [], one: []}
        for turn in range(options.repeats):
            for albums, results in runs.items():
                results.append(run(albums, Path(folder, f"{albums.name} {turn}"), options.workers))
        for albums, results in runs.items():
            features, counts, rest, taken, main_process, worker, pairs, files = np.median(
                results, axis=0
            )
            print(
                f"  {albums.name:4}: features {1000 * features / options.photos:5.1f} ms a photo, "
                f"{pairs:7.0f} counts {1000 * counts / pairs:5.2f} ms a pair on "
                f"{counts / taken:.1f} cores, the rest {rest:5.1f} s; peak "
                f"{main_process:4.0f} MiB, largest worker {worker:4.0f} MiB; "
                f"{files:.0f} files in work/"
            )
        ratios = [b[1] / b[6] / (a[1] / a[6]) for a, b in zip(*runs.values(), strict=True)]
        print(f"  A pair's counts take {statistics.median(ratios):.2f} × as long in one album")


def run(albums: Path, out: Path, workers: int) -> list[float]:
    """Return what `child` prints."""
    command = [sys.executable, __file__, "--workers", str(workers)]
    done = subprocess.run(
        [*command, "--child", str(albums), str(out)],
        stdout=subprocess.PIPE, check=True, text=True, env=os.environ,
    )  # fmt: skip
    numbers: list[float] = json.loads(done.stdout)
    return numbers


if __name__ == "__main__":
    main()
