"""Write docs/manifest.schema.json from the typed rows: `python docs/make_schema.py`."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from srntt_pipeline.albums.manifest_rows import TABLES
from srntt_pipeline.albums.origin import ORIGIN, Origin

PAGE = Path(__file__).with_name("manifest.schema.json")


def schema() -> dict[str, Any]:
    """Return the schema: a definition of each file, a table being the list of its rows."""
    kinds: dict[str, Any] = {name: list[row_type] for name, row_type in TABLES.items()}
    adapters = {name: TypeAdapter(kind) for name, kind in (kinds | {ORIGIN: Origin}).items()}
    files, definitions = TypeAdapter.json_schemas(
        [(name, "validation", adapter) for name, adapter in adapters.items()]
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Manifest",
        "description": "The files of manifests/, by name; an empty cell of a table is null where "
        "null is allowed.",
        "type": "object",
        "properties": {name: files[name, "validation"] for name in adapters},
        **definitions,
    }


def page() -> str:
    """Return the text of the file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
