"""Best matches of an album's pairs, against OpenCV's brute force, FLANN, and faiss if installed."""

import itertools
from collections.abc import Callable

import cv2
import numpy as np
import torch
from photographs import album
from timing import compare, parse, seconds

from srntt_pipeline.albums import matching_cuda
from srntt_pipeline.albums.matching import match_both_ways
from srntt_pipeline.albums.sift import SiftFeatures, detect
from srntt_pipeline.config import Matching

try:
    import faiss
except ImportError:
    faiss = None

MATCHING = Matching()
CUFED_PAIRS = 2_500_000
Matches = list[set[tuple[int, int]]]


def main() -> None:
    """Time the matches of all pairs, in both directions, and check that they are the same."""
    options = parse(str(__doc__))
    descriptors = [detect(photo).descriptors for photo in album()[:6]]
    pairs = list(itertools.combinations(range(len(descriptors)), 2))
    ways = {
        "ours": lambda: ours(descriptors, pairs),
        "OpenCV BFMatcher": lambda: opencv(cv2.BFMatcher(), descriptors, pairs),
        "OpenCV FLANN (approximate)": lambda: opencv(flann(), descriptors, pairs),
    }
    if faiss:
        faiss.omp_set_num_threads(1)
        ways["faiss IndexFlatL2"] = lambda: by_faiss(descriptors, pairs)
    sizes = sorted(map(len, descriptors))
    times = compare(
        f"Matches of {len(pairs)} photo pairs both ways, {sizes[0]}–{sizes[-1]} descriptors",
        ways,
        options.repeats,
    )
    expected = ways["OpenCV BFMatcher"]()
    for name, way in ways.items():
        report(name, way, times[name], expected, len(pairs))
    if torch.cuda.is_available():
        on_gpu()


def report(
    name: str, way: Callable[[], Matches], time: float, expected: Matches, pairs: int
) -> None:
    """Print the speed of a way, what CUFED would take, and how its matches compare."""
    found = way()
    shared = sum(len(a & b) for a, b in zip(found, expected, strict=True))
    wanted, had = sum(map(len, expected)), sum(map(len, found))
    hours = CUFED_PAIRS / pairs * time / 3600
    print(
        f"  {name:<30} {pairs / time:6.1f} pairs/s a core; CUFED's 2.5 million: {hours:6.1f} core "
        f"hours; finds {shared / wanted:7.2%} of brute force's matches, {had - shared} others"
    )


def ours(descriptors: list[np.ndarray], pairs: list[tuple[int, int]]) -> Matches:
    """Match as the builder does."""
    matches = []
    for i, j in pairs:
        for found in match_both_ways(descriptors[i], descriptors[j], MATCHING):
            rows = np.flatnonzero(found.is_match)
            matches.append(set(zip(rows.tolist(), found.place[rows].tolist(), strict=True)))
    return matches


def opencv(
    matcher: cv2.DescriptorMatcher, descriptors: list[np.ndarray], pairs: list[tuple[int, int]]
) -> Matches:
    """Match as every tutorial does."""
    floats = [array.astype(np.float32) for array in descriptors]
    return [
        {
            (m.queryIdx, m.trainIdx)
            for m, n in matcher.knnMatch(floats[a], floats[b], 2)
            if m.distance < MATCHING.ratio * n.distance
        }
        for i, j in pairs
        for a, b in ((i, j), (j, i))
    ]


def flann() -> cv2.DescriptorMatcher:
    """Return FLANN's matcher as OpenCV's documentation sets it up for SIFT."""
    return cv2.FlannBasedMatcher({"algorithm": 1, "trees": 5}, {"checks": 50})


def by_faiss(descriptors: list[np.ndarray], pairs: list[tuple[int, int]]) -> Matches:
    """Match with faiss's exact search."""
    floats = [array.astype(np.float32) for array in descriptors]
    matches = []
    for i, j in pairs:
        for a, b in ((i, j), (j, i)):
            index = faiss.IndexFlatL2(128)
            index.add(floats[b])
            squared, places = index.search(floats[a], 2)
            distances = np.sqrt(squared)
            rows = np.flatnonzero(distances[:, 0] < MATCHING.ratio * distances[:, 1])
            matches.append(set(zip(rows.tolist(), places[rows, 0].tolist(), strict=True)))
    return matches


def on_gpu() -> None:
    """Print how long CUFED's pairs of 1,000 descriptors take the GPU, and check the matches."""
    rng = np.random.default_rng(0)
    photos = [
        SiftFeatures(np.zeros((1000, 2), np.float32), rng.integers(0, 256, (1000, 128), np.uint8))
        for _ in range(50)
    ]
    pairs = len(photos) * (len(photos) - 1) // 2

    def run() -> int:
        return sum(1 for _ in matching_cuda.match_all_pairs(photos, MATCHING, "cuda"))

    run()
    time = seconds(run)
    print(
        f"  {torch.cuda.get_device_name()}: {pairs / time:,.0f} pairs/s of 1,000 descriptors; "
        f"CUFED's 2.5 million: {CUFED_PAIRS / pairs * time / 60:.1f} minutes"
    )


if __name__ == "__main__":
    main()
