"""DVC stage tables: PARAMS OUT RESULTS…."""

from pathlib import Path

from srntt_pipeline.config import read_params
from srntt_pipeline.console import arguments, reporting
from srntt_pipeline.evaluation.paper_tables import paper_tables

if __name__ == "__main__":
    with reporting():
        params, out, *results = map(Path, arguments(__doc__))
        paper_tables(results, out, read_params(params).tables)
