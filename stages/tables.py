"""DVC stage tables: PARAMS OUT RESULTS…."""

import sys
from pathlib import Path

from srntt_pipeline.config import read_params
from srntt_pipeline.console import reporting
from srntt_pipeline.evaluation.paper_tables import paper_tables

if __name__ == "__main__":
    with reporting():
        params, out, *results = map(Path, sys.argv[1:])
        paper_tables(results, out, read_params(params).tables)
