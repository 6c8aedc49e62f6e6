"""Best-match counts of an album's pairs, against OpenCV's brute-force matcher and FLANN."""

import itertools

import cv2
import numpy as np
from photographs import album
from timing import compare, parse

from srntt_pipeline.albums.counts import ratio_test, squared_distances
from srntt_pipeline.albums.sift import detect

RATIO = 0.75


def main() -> None:
    """Time the counts of all pairs, in both directions, and check that they are the same."""
    options = parse(str(__doc__))
    descriptors = [detect(photo).descriptors for photo in album()[:6]]
    floats = [array.astype(np.float32) for array in descriptors]
    pairs = list(itertools.combinations(range(len(descriptors)), 2))

    def ours() -> list[int]:
        counts = []
        for i, j in pairs:
            squared = squared_distances(descriptors[i], descriptors[j])
            counts.append(int(ratio_test(squared, RATIO)[1].sum()))
            counts.append(int(ratio_test(np.ascontiguousarray(squared.T), RATIO)[1].sum()))
        return counts

    def opencv(matcher: cv2.DescriptorMatcher) -> list[int]:
        return [
            sum(
                m.distance < RATIO * n.distance
                for m, n in matcher.knnMatch(floats[a], floats[b], 2)
            )
            for i, j in pairs
            for a, b in ((i, j), (j, i))
        ]

    def brute_force() -> list[int]:
        return opencv(cv2.BFMatcher())

    def flann() -> list[int]:
        return opencv(cv2.FlannBasedMatcher({"algorithm": 1, "trees": 4}, {"checks": 32}))

    sizes = [len(array) for array in descriptors]
    compare(
        f"Match counts, {len(pairs)} pairs both ways, {min(sizes)}–{max(sizes)} descriptors",
        {"ours": ours, "OpenCV BFMatcher": brute_force, "OpenCV FLANN (approximate)": flann},
        options.repeats,
    )
    print("  counts equal to BFMatcher's:", ours() == brute_force())
    print(f"  FLANN finds {sum(flann()) / sum(ours()):.1%} as many matches")


if __name__ == "__main__":
    main()
