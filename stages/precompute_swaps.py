"""DVC stage precompute-swaps: PARAMS DATASET OUT KEY=VALUE…."""

import sys
from pathlib import Path

from srntt_pipeline.cluster import cluster
from srntt_pipeline.config import override, read_params
from srntt_pipeline.console import reporting
from srntt_pipeline.parallel import default_workers
from srntt_pipeline.swaps.precompute import precompute_swaps

if __name__ == "__main__":
    with reporting(), cluster():
        params, dataset, out = map(Path, sys.argv[1:4])
        settings = override(read_params(params).swaps, sys.argv[4:])
        precompute_swaps(dataset, out, settings, workers=default_workers())
