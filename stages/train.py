"""DVC stage train: PARAMS DATASET SWAPS OUT KEY=VALUE…."""

import sys
from pathlib import Path

from srntt_pipeline.config import override, read_params
from srntt_pipeline.console import reporting
from srntt_pipeline.training.loop import train

if __name__ == "__main__":
    with reporting():
        params, dataset, swaps, out = map(Path, sys.argv[1:5])
        settings = override(read_params(params).train, sys.argv[5:])
        # DVC has found that what it depends on has changed: its outputs are to be made anew.
        train(dataset, swaps, out, settings, overwrite=True)
