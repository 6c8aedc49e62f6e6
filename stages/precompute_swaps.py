"""DVC stage precompute-swaps: PARAMS DATASET OUT [KEY=VALUE…]."""

from pathlib import Path

from srntt_pipeline.cluster import cluster
from srntt_pipeline.config import override, read_params
from srntt_pipeline.console import arguments, reporting
from srntt_pipeline.parallel import default_workers
from srntt_pipeline.swaps.precompute import precompute_swaps

if __name__ == "__main__":
    with reporting(), cluster():
        params, dataset, out, *keys = arguments(__doc__)
        settings = override(read_params(Path(params)).swaps, keys)
        precompute_swaps(Path(dataset), Path(out), settings, workers=default_workers())
