"""A trained network as a method, by how it is fed: the registry says it."""

from pathlib import Path

from srntt_pipeline.checkpoints import CheckpointInfo, load_checkpoint
from srntt_pipeline.errors import InputError
from srntt_pipeline.methods.method import Method
from srntt_pipeline.methods.networks import TrainedNetwork
from srntt_pipeline.methods.srntt import srntt
from srntt_pipeline.models.registry import entry
from srntt_pipeline.network_files import AS_NAMED, NetworkFiles

STAGES = "extract", "join", "finish"  # methods of a network on maps, as `methods.tiles` calls them


def of_checkpoint(path: Path, files: NetworkFiles = AS_NAMED, name: str = "") -> Method:
    """Return the method of a checkpoint, whose weights are checked.

    `path`: its .safetensors or .json file, or the folder it is in. `files`: where the networks that
    it was trained with lie now; `name`: its row in tables, if not that of the network. Raises
    InputError.
    """
    checkpoint = load_checkpoint(path)
    missing = [name for name in STAGES if not hasattr(checkpoint.model, name)]
    if entry(checkpoint.info.model).inputs == "maps" and missing:
        raise InputError(
            f"{checkpoint.path}: {checkpoint.info.model} is fed with swapped maps, but has no "
            f"`{missing[0]}`, by which such networks are run stage by stage; measure it in Python "
            "with network_method (docs/api.md)"
        )
    return _method(checkpoint.path, checkpoint.info, files, name)


def _method(path: Path, info: CheckpointInfo, files: NetworkFiles, name: str) -> Method:
    fed = entry(info.model)
    row = name or fed.row
    if fed.inputs != "maps":
        return TrainedNetwork(row, path, info)
    if info.encoder is None or info.swaps is None:
        raise InputError(
            f"{path.with_suffix('.json')}: {info.model} is fed with swapped maps, but it does not "
            "say with which encoder and swaps; train it again"
        )
    return srntt(row, path, info, files)
