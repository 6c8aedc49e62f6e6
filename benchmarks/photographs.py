"""Photographs for the benchmarks: the demo's, so that they run from a bare clone."""

import tempfile
from functools import cache
from pathlib import Path

from srntt_pipeline.albums.demo import demo_albums
from srntt_pipeline.config import DemoAlbumsParams
from srntt_pipeline.images import RGB, read_rgb


@cache
def album(long_side_px: int = 500) -> list[RGB]:
    """Return the photographs of a demo album, uint8 [H, W, 3]."""
    with tempfile.TemporaryDirectory() as folder:
        demo_albums(Path(folder, "albums"), DemoAlbumsParams(long_side_px=long_side_px), workers=1)
        return [read_rgb(path) for path in sorted(Path(folder, "albums", "motorcycle").iterdir())]
