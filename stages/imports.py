"""DVC stage imports: OUT."""

from pathlib import Path

from srntt_pipeline.console import arguments, reporting
from srntt_pipeline.imports import write_imports

if __name__ == "__main__":
    with reporting():
        (out,) = map(Path, arguments(__doc__))
        write_imports(Path(__file__).parent, out)
