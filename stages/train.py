"""DVC stage train: PARAMS RECIPE DATASET OUT [SWAPS] KEY=VALUE…."""

import sys
from pathlib import Path

from srntt_pipeline.config import override, read_params, recipe_params
from srntt_pipeline.console import reporting
from srntt_pipeline.errors import InputError
from srntt_pipeline.training.loop import train

if __name__ == "__main__":
    with reporting():
        script, *arguments = sys.argv
        if len(arguments) < 4:
            raise InputError(f"{script}: expected PARAMS RECIPE DATASET OUT [SWAPS] KEY=VALUE…")
        params, recipe, dataset, out, *rest = arguments
        section = recipe_params(read_params(Path(params)), recipe)
        swaps = [Path(rest.pop(0))] if rest and "=" not in rest[0] else []
        settings = override(section, rest)
        # DVC has found that what it depends on has changed: its outputs are to be made anew.
        train(settings, Path(dataset), Path(out), *swaps, overwrite=True)
