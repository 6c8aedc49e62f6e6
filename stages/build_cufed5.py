"""DVC stage build-cufed5: PARAMS ALBUMS OUT."""

from pathlib import Path

from srntt_pipeline.albums.build import build_cufed5
from srntt_pipeline.cluster import cluster
from srntt_pipeline.config import read_params
from srntt_pipeline.console import arguments, reporting
from srntt_pipeline.parallel import default_workers

if __name__ == "__main__":
    with reporting(), cluster():
        params, albums, out = map(Path, arguments(__doc__))
        settings = read_params(params).build
        build_cufed5(albums, out, settings, workers=default_workers(), both_parts=True)
