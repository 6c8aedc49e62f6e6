"""What swap shards are, in a few lines for a person."""

from pathlib import Path

import numpy as np

from srntt_pipeline.maps import FLOAT_BYTES, VALUES
from srntt_pipeline.matching.patches import HALO, PatchNumbers
from srntt_pipeline.swaps.references import Augmentation, versions
from srntt_pipeline.swaps.shards import INDEX, Shards, StoredSwap

# Of networks that find matches, in place of VGG19's maps.
_NAMES = {"matching_checkpoint": "matched by", "flow_weights": "flow"}


def shards_info(folder: Path) -> str:
    """Return what made the shards in `folder`, which versions were matched, and what they weigh.

    Reads every correspondence. Raises InputError for damaged shards.
    """
    shards = Shards(folder)
    params = shards.params
    swaps = [shards[name] for name in shards.names]
    size = sum(path.stat().st_size for path in [*shards.files, folder / INDEX])
    in_full = sum(map(_maps_bytes, swaps))
    lines = [
        f"{folder}: {len(swaps)} pairs in {len(shards.files)} shards by {shards.software}",
        f"encoder     {shards.encoder}",
        "upscaler    " + _network(params.upscaler, shards.networks.get("upscaler")),
        *(
            f"{_NAMES[key]:<11} {_network(getattr(params, key), made_with)}"
            for key, made_with in shards.networks.items()
            if key in _NAMES
        ),
        "parameters  " + ", ".join(f"{key} {value}" for key, value in params.matched_by.items()),
        f"agreement   {shards.float32_agreement:.2%} of the matches are those of float32",
        "store       " + " ".join(params.storing.values()),
        f"size        {size / max(len(swaps), 1) / 1e3:.1f} kB a pair, {size / 1e6:.2f} MB in all; "
        f"maps in float32 would take {in_full / 1e6:.1f} MB, {in_full / max(size, 1):.0f} times it",
    ]
    if swaps:
        lines += _use(swaps, versions(params))
    return "\n".join(lines)


def _network(name: str, made_with: str | None) -> str:
    """Return the name of a network with its hash, if it has one."""
    return f"{Path(name).name} (sha256 {made_with[:12]})" if made_with else name


def _maps_bytes(swap: StoredSwap) -> int:
    """Return the size of a pair's maps in float32."""
    height, width = (size + HALO for size in swap.correspondence.index.shape)
    return height * width * VALUES * FLOAT_BYTES


def _use(swaps: list[StoredSwap], tried: list[Augmentation]) -> list[str]:
    """Return lines on the cosines, and on which share of the LR patches matched which version."""
    cosines = np.concatenate([swap.correspondence.cosine.numpy().ravel() for swap in swaps])
    low, middle, high = np.quantile(cosines, (0.05, 0.5, 0.95))
    counts = np.zeros(len(tried), np.int64)
    for swap in swaps:
        found = swap.correspondence
        maps = PatchNumbers(found.shapes).places(found.index).grid.numpy().ravel()
        counts += np.bincount(maps % len(tried), minlength=len(tried))
    shares = counts / max(counts.sum(), 1)
    return [
        f"cosine      {middle:.3f} in the median, {low:.3f} to {high:.3f} for nine patches in ten",
        "versions    share of the LR patches matched in each:",
        *(f"  {share:6.1%}  {version}" for version, share in zip(tried, shares, strict=True)),
    ]
