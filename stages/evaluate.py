"""DVC stage evaluate: PARAMS DATASET CHECKPOINT… OUT."""

import sys
from pathlib import Path

from srntt_pipeline.cluster import cluster
from srntt_pipeline.config import read_params
from srntt_pipeline.console import reporting
from srntt_pipeline.evaluation.evaluate import evaluate
from srntt_pipeline.parallel import default_workers

if __name__ == "__main__":
    with reporting(), cluster():
        params, dataset, *checkpoints, out = map(Path, sys.argv[1:])
        settings = read_params(params).evaluate
        evaluate(dataset, out, settings, methods=checkpoints, workers=default_workers())
