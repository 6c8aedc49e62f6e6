"""SelfEx: seconds for each image, and PSNR beside bicubic and beside what its authors measured.

Takes HR images and their LR files, as the self-exemplar benchmark has them, and its table of each
image. PSNR by the protocol `matlab-replicate`. One thread; what compiling takes is told apart.
"""

import argparse
import csv
import resource
import statistics
from pathlib import Path

import numpy as np
from timing import processor, seconds

from srntt_pipeline.degradation import Making, bicubic
from srntt_pipeline.evaluation.protocols import PROTOCOLS
from srntt_pipeline.images import RGB, SCALE, crop_to_multiple, read_rgb
from srntt_pipeline.selfex.enlarging import enlarge

SHARED = Path(__file__).resolve().parents[2] / "shared"
PROTOCOL = PROTOCOLS["matlab-replicate"]


def main() -> None:
    """Measure one image after the other."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--hr", type=Path, default=SHARED / "data/urban100")
    parser.add_argument("--lr", type=Path, default=SHARED / "data/urban100_lr_x4")
    parser.add_argument("--table", type=Path, default=SHARED / "paper/urban100_x4_per_image.csv")
    parser.add_argument(
        "--crop", type=int, help="LR pixels a side from the middle, for a quick look"
    )
    options = parser.parse_args()
    published = read_table(options.table)
    compiling = seconds(lambda: enlarge(np.zeros((8, 8, 3), np.uint8)))
    print(f"SelfEx ×4, one thread, {processor()}; compiling or reading loops: {compiling:.0f} s")
    print(
        f"  {'':<10}{'size':>11}{'s':>8}{'bicubic':>9}{'ours':>8}{'theirs':>8}{'ours − theirs':>15}"
    )
    differences = []
    for path in sorted(options.hr.glob("*.png")):
        hr, lr = pair(path, options.lr / path.name, options.crop)
        made: list[RGB] = []
        taken = seconds(lambda lr=lr, made=made: made.append(enlarge(lr)))
        base = PROTOCOL.measure(hr, bicubic(lr, Making("matlab-replicate", SCALE)))[0]
        ours = PROTOCOL.measure(hr, made[0])[0]
        line = (
            f"  {path.stem:<10}{hr.shape[1]:>6}×{hr.shape[0]}{taken:>8.1f}{base:>9.3f}{ours:>8.3f}"
        )
        theirs = None if options.crop else published.get(path.stem)
        if theirs is not None:
            differences.append(ours - theirs)
            line += f"{theirs:>8.3f}{ours - theirs:>15.3f}"
        print(line, flush=True)
    if differences:
        print(f"  mean difference: {statistics.mean(differences):+.3f} dB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"  most memory of the process: {peak / 1024:.0f} MiB")


def pair(hr_path: Path, lr_path: Path, crop: int | None) -> tuple[RGB, RGB]:
    """Return HR and LR, or what lies in their middle."""
    hr, lr = crop_to_multiple(read_rgb(hr_path), SCALE), read_rgb(lr_path)
    if not crop:
        return hr, lr
    top, left = ((side - min(crop, side)) // 2 for side in lr.shape[:2])
    lr = lr[top : top + crop, left : left + crop]
    height, width = lr.shape[:2]
    rows = slice(SCALE * top, SCALE * (top + height))
    return hr[rows, SCALE * left : SCALE * (left + width)], lr


def read_table(path: Path) -> dict[str, float]:
    """Return SelfEx's PSNR by image, dB, where there is such a table."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["image"]: float(row["psnr_db"]) for row in rows if row["method"] == "SelfExSR"}


if __name__ == "__main__":
    main()
