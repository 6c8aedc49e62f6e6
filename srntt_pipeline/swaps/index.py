"""The index of swap shards, read as if a stranger had written it."""

import json
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from srntt_pipeline.config import SwapParams, as_stored
from srntt_pipeline.errors import InputError, first_problem, one_line
from srntt_pipeline.files import open_regular, read_json
from srntt_pipeline.maps import EncoderIdentity
from srntt_pipeline.sections import validate

FORMAT, VERSION = "srntt_pipeline swaps", 4
# 3 has no phases: its matches are on the grid; 2 calls the cosine `score`, else it is the same.
READABLE = (2, 3, 4)
INDEX = "index.json"
AGAIN = "run precompute-swaps again"


def _pair_name(name: str) -> str:
    if not name or name in (".", "..") or re.search(r"[/\0]", name):
        raise ValueError(f"{name!r} is no name of a pair")
    name.encode()  # half a surrogate pair is no text
    return name


_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ShardEntry(BaseModel):
    """A shard: its file beside the index, its hash, and the names of its pairs."""

    file: Annotated[str, Field(pattern=r"^shard-[0-9]{5,9}\.h5$")]
    pairs: list[Annotated[str, AfterValidator(_pair_name)]]
    sha256: _Sha256


class Index(BaseModel):
    """`index.json`; `params` are checked beforehand. `networks`: older ones had none."""

    model_config = ConfigDict(strict=True)

    version: Literal[2, 3, 4]
    software: Annotated[str, Field(max_length=1000)]
    encoder: EncoderIdentity
    networks: dict[Literal["upscaler", "matching_checkpoint", "flow_weights"], _Sha256] = {}
    params: SwapParams
    made_from: _Sha256
    float32_agreement: Annotated[float, Field(ge=0, le=1)]
    pairs: int
    shards: list[ShardEntry]

    @model_validator(mode="after")
    def _sound(self) -> "Index":
        names = [name for shard in self.shards for name in shard.pairs]
        files = [shard.file for shard in self.shards]
        if len(set(names)) < len(names) or len(set(files)) < len(files):
            raise ValueError("a pair or a shard is listed twice")
        if len(names) != self.pairs:
            raise ValueError(f"it counts {self.pairs} pairs and lists {len(names)}")
        if not re.fullmatch(r"[0-9a-f]{64}", self.encoder.sha256):
            raise ValueError("the encoder's sha256 is no hash")
        if ("matching_checkpoint" in self.networks) != (self.params.matching == "learnt"):
            raise ValueError(f"matching {self.params.matching}, but networks {self.networks}")
        return self


def read_index(folder: Path) -> Index:
    """Return the index in `folder`; raise InputError, one line, for a missing or foreign one."""
    path = folder / INDEX
    try:
        open_regular(path).close()
        content = read_json(path, f"{AGAIN} (it writes the index last)")
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f"{path}: not an index of swap shards")
        if content.get("version") not in READABLE:
            raise InputError(f"{path}: not shards of version {', '.join(map(str, READABLE))}; "
                             f"{AGAIN}")  # fmt: skip
        content["params"] = as_stored(content.get("params"))
        validate(SwapParams, content["params"], str(path))
        # As JSON, whose lists are tuples even where types are strict.
        return Index.model_validate_json(json.dumps(content))
    except FileNotFoundError:
        raise InputError(f"{path} is missing; {AGAIN} (it writes the index last)") from None
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}; {AGAIN}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable ({one_line(str(error))}); {AGAIN}") from None
