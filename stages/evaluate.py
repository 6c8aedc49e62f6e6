"""DVC stage evaluate: PARAMS DATASET OUT [SOURCE…]."""

from pathlib import Path

from srntt_pipeline.cluster import cluster
from srntt_pipeline.config import read_params
from srntt_pipeline.console import arguments, reporting
from srntt_pipeline.evaluation.evaluate import evaluate
from srntt_pipeline.parallel import default_workers

if __name__ == "__main__":
    with reporting(), cluster():
        params, dataset, out, *methods = arguments(__doc__)
        settings = read_params(Path(params)).evaluate
        evaluate(Path(dataset), Path(out), settings, methods=methods, workers=default_workers())
