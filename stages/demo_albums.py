"""DVC stage demo-albums: PARAMS OUT."""

from pathlib import Path

from srntt_pipeline.albums.demo import demo_albums
from srntt_pipeline.cluster import cluster
from srntt_pipeline.config import read_params
from srntt_pipeline.console import arguments, reporting
from srntt_pipeline.parallel import default_workers

if __name__ == "__main__":
    with reporting(), cluster():
        params, out = map(Path, arguments(__doc__))
        demo_albums(out, read_params(params).demo_albums, workers=default_workers())
