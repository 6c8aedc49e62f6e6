"""Weights that others published, read into checkpoints of ours; none imports PyTorch at once.

To add a method, open `sisr.py`, an example: a function under `@importer(NAME, FILES)` that reads
the files and returns the recipe of their network and its parameters by name. Every module here is
imported, so that function is then a command, `srntt-pipeline import-weights NAME`; what all have in
common is `srntt_pipeline/import_weights.py`.
"""

import importlib
import pkgutil

from srntt_pipeline.importing.importer import IMPORTERS, Importer, Weights, importer

__all__ = ["IMPORTERS", "Importer", "Weights", "importer"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
