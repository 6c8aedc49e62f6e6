"""Put the params files into a wheel, where `--params NAME` finds them (params_files.py)."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ParamsInWheel(BuildHookInterface):
    """A hook of hatchling, since its settings would copy into editable installs too.

    Those read the checkout's own files, and a copy would grow old.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files and where they go."""
        if version == "editable":
            return
        files = {f"{file.stem}.yaml": file for file in Path(self.root, "params").glob("*.yaml")}
        files["demo.yaml"] = Path(self.root, "params.yaml")
        for name, file in sorted(files.items()):
            build_data["force_include"][str(file)] = f"srntt_pipeline/params/{name}"
