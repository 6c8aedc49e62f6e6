"""Peak memory of a build from 10 synthetic albums to 1,000: it must not grow with the collection.

Run `python benchmarks/memory.py`; `--albums 10,100` for a shorter one. Each build runs in processes
of its own, whose highest resident memory Linux keeps. `synthetic_albums` makes the
albums: views that pan over pictures of random blobs, which SIFT finds corners in.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from timing import processor

from srntt_pipeline.albums.build import build_cufed5
from srntt_pipeline.config import BuildParams
from srntt_pipeline.parallel import default_workers, run_all

PARAMS = BuildParams(
    long_side_px=160, crop_px=64, levels=4, levels_by="quantiles", train_pairs=1000, test_groups=50
)


def synthetic_albums(root: Path, albums: int, photos: int, workers: int) -> None:
    """Write `albums` albums of `photos` photos, 160×120 px each, to `root`."""
    jobs = [
        (root / f"{number // 100:03d}" / f"{number:05d}", number, photos)
        for number in range(albums)
    ]
    run_all(write_album, jobs, workers=workers, description="Synthetic albums", unit="albums")


def write_album(job: tuple[Path, int, int]) -> None:
    """Write one album: a strip of coloured blobs, photographed from left to right."""
    folder, number, photos = job
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    width = 160 + 24 * photos
    scene = rng.uniform(0, 255, (140, width, 3)).astype(np.float32)
    scene = cv2.GaussianBlur(scene, (0, 0), 2.5)
    scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    for index in range(photos):
        x, y = 24 * index, int(rng.integers(0, 20))
        Image.fromarray(scene[y : y + 120, x : x + 160]).save(folder / f"{index:03d}.png")


def child(albums: Path, out: Path, workers: int) -> None:
    """Build, and print seconds and peak memory (MiB) of this process and of its largest worker."""
    start = time.perf_counter()
    report = build_cufed5(albums, out, PARAMS, workers=workers, device="cpu")
    taken = time.perf_counter() - start
    print(json.dumps([taken, *peaks(), report["photo_pairs"]]))


def core_seconds() -> float:
    """Return how long this process and its workers have computed, s."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, rest = stat.read_text().split(" ", 1)
        except OSError:
            continue  # another's process, which has just ended
        fields = rest.rsplit(")", 1)[1].split()
        if os.getpid() in (int(number), int(fields[1])):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def peaks() -> tuple[float, float]:
    """Return the peak memory of this process and of its largest worker, MiB."""
    main_process, children = 0.0, [0.0]
    for status in Path("/proc").glob("[0-9]*/status"):  # the workers still wait for work
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except OSError:
            continue  # another's process, which has just ended
        peak = int(fields.get("VmHWM", "0 kB").split()[0]) / 1024
        if int(fields["Pid"]) == os.getpid():
            main_process = peak
        elif int(fields["PPid"]) == os.getpid():
            children.append(peak)
    return main_process, max(children)


def main() -> None:
    """Build from ever more albums and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--albums", default="10,100,1000", help="numbers of albums")
    parser.add_argument("--photos", type=int, default=8, help="photos in an album")
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child, options.workers)
        return
    print(f"Builds of synthetic albums, {options.workers} workers, {processor()}")
    with tempfile.TemporaryDirectory() as folder:
        for albums in (int(number) for number in options.albums.split(",")):
            photos, out = Path(folder, f"photos {albums}"), Path(folder, f"out {albums}")
            synthetic_albums(photos, albums, options.photos, options.workers)
            command = [sys.executable, __file__, "--workers", str(options.workers)]
            done = subprocess.run(
                [*command, "--child", str(photos), str(out)],
                stdout=subprocess.PIPE, check=True, text=True, env=os.environ,
            )  # fmt: skip
            taken, main_process, worker, pairs = json.loads(done.stdout)
            print(
                f"  {albums:5} albums, {albums * options.photos:6} photos, {pairs:8} pairs: "
                f"{taken:6.1f} s; peak {main_process:4.0f} MiB, largest worker {worker:4.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
