"""DVC stage train: PARAMS RECIPE DATASET OUT FROM [KEY=VALUE…]."""

from pathlib import Path

from srntt_pipeline.config import override, read_params, recipe_params
from srntt_pipeline.console import arguments, reporting
from srntt_pipeline.imports import code_sha256
from srntt_pipeline.training.loop import train

if __name__ == "__main__":
    with reporting():
        params, recipe, dataset, out, source, *keys = arguments(__doc__)
        settings = override(recipe_params(read_params(Path(params)), recipe), keys)
        # FROM: the swaps that the recipe trains on; one that takes none trains on DATASET alone.
        swaps = Path(source) if settings.takes("maps") else None
        # DVC has found that what it depends on has changed: its outputs are to be made anew.
        # A run of other code is another one: what it left would be found finished, and kept.
        code = code_sha256(Path(__file__))
        train(settings, Path(dataset), Path(out), swaps, overwrite=True, code=code)
