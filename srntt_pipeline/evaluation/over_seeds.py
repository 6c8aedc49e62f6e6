"""Several seeds of one network as one row: their mean, and how far they scatter."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from srntt_pipeline.methods.marks import seeds_of
from srntt_pipeline.metrics import METRICS

Row = dict[str, Any]
SPREAD = ("seeds", "psnr_db_sd", "ssim_sd")  # columns that such a row has beside the others
_DIGITS = {"psnr_db_sd": 4, "ssim_sd": 5}


def with_means(per_image: Sequence[Row]) -> list[Row]:
    """Return the rows of per_image.csv with those of means over seeds, before their first seed's.

    `NAME #seed X` are seeds of `NAME`. Of two or more there is a row NAME (`NAME #mean` where NAME
    was evaluated too) for each image, reference and protocol that all have: the means of PSNR, SSIM
    and metrics. It has no `picture` and no `folder`, but `of_seeds`: the seeds' methods.
    """
    place: dict[str, dict[str, int]] = {}
    for row in per_image:
        methods = place.setdefault(row["dataset"], {})
        methods.setdefault(row["method"], len(methods))
    every = {name for methods in place.values() for name in methods}
    means: list[Row] = []
    for dataset, methods in place.items():
        networks: dict[str, list[str]] = {}
        for name in list(methods):
            if network := seeds_of(name):
                networks.setdefault(network, []).append(name)
        for network, seeds in networks.items():
            if len(seeds) > 1:
                title = f"{network} #mean" if network in every else network
                rows = [row for row in per_image if row["dataset"] == dataset]
                means += _means(title, seeds, rows)
                methods[title] = methods[seeds[0]]
    datasets = list(place)
    return sorted(
        [*means, *per_image],  # the sort is stable: a mean stands before its first seed
        key=lambda row: (datasets.index(row["dataset"]), place[row["dataset"]][row["method"]]),
    ) if means else list(per_image)  # fmt: skip


def _means(title: str, seeds: Sequence[str], rows: Sequence[Row]) -> list[Row]:
    """Return the mean rows of these seeds, of what all of them were measured on."""
    found: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        if row["method"] in seeds:
            key = row["protocol"], row["reference"], row["image"]
            found.setdefault(key, {})[row["method"]] = row
    means = []
    for own in found.values():
        if len(own) == len(seeds):
            first = {k: v for k, v in own[seeds[0]].items() if k not in ("picture", "folder")}
            measures = {
                name: math.fsum(row[name] for row in own.values()) / len(own)
                for name in ("psnr_db", "ssim", *METRICS)
                if all(name in row for row in own.values())
            }
            means.append(first | measures | {"method": title, "of_seeds": tuple(seeds)})
    return means


def spread_over_seeds(mean: Sequence[Row], rows: Sequence[Row]) -> Row:
    """Return SPREAD of one number: of the means over images of each seed, their deviation.

    `mean`: the mean rows of the number; `rows`: those of all methods on the data set. The standard
    deviation is that of a sample (n - 1); None where a mean is infinite.
    """
    seeds = mean[0]["of_seeds"]
    images = {row["image"] for row in mean}
    key = mean[0]["protocol"], mean[0]["reference"]
    spread: Row = {"seeds": len(seeds)}
    for measure in ("psnr_db", "ssim"):
        values = [
            statistics.fmean(
                row[measure]
                for row in rows
                if row["method"] == seed
                and (row["protocol"], row["reference"]) == key
                and row["image"] in images
            )
            for seed in seeds
        ]
        name = f"{measure}_sd"
        finite = all(map(math.isfinite, values))
        spread[name] = round(statistics.stdev(values), _DIGITS[name]) if finite else None
    return spread
