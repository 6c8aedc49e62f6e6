"""The params files that come with the package, by name: `--params laptop`.

A wheel holds them in `srntt_pipeline/params/`. A checkout has them at its root, where DVC reads
them: `params/NAME.yaml`, and `params.yaml`, the demo's. `params/in_wheel.py` puts these into a
wheel when it is built, so each is one file to edit.
"""

from pathlib import Path

from srntt_pipeline.errors import InputError

_PACKAGE = Path(__file__).parent


def packaged_params() -> dict[str, Path]:
    """Return the params files that come with the package, by name, in alphabetical order."""
    in_wheel, root = _PACKAGE / "params", _PACKAGE.parent
    if in_wheel.is_dir():
        files = {file.stem: file for file in in_wheel.glob("*.yaml")}
    else:
        files = {file.stem: file for file in (root / "params").glob("*.yaml")}
        files["demo"] = root / "params.yaml"
    return dict(sorted(files.items()))


def find_params(path: Path) -> Path:
    """Return the params file that `path` means: that file, or the packaged one of that name.

    A file that is there goes first; a folder of that name does not count. Raises InputError with
    one line that lists the names where there is neither.
    """
    packaged = packaged_params()
    try:
        there, folder = path.exists(), path.is_dir()
    except OSError:
        return path  # the attempt to read it will say why
    if str(path) in packaged and (folder or not there):
        return packaged[str(path)]
    if not there:
        names = ", ".join(packaged)
        raise InputError(f"{path}: no such params file; those that have a name are {names}")
    return path
