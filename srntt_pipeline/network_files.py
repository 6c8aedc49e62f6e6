"""Where the files of networks lie that parameters name, once they have moved."""

from dataclasses import asdict, dataclass
from typing import TypeVar

from srntt_pipeline.config import MatchParams

_Params = TypeVar("_Params", bound=MatchParams)


@dataclass(frozen=True)
class NetworkFiles:
    """Where networks' files lie now, if not where parameters say; None: there."""

    encoder_weights: str | None = None
    upscaler: str | None = None
    matching_checkpoint: str | None = None
    flow_weights: str | None = None

    def found(self, params: _Params) -> _Params:
        """Return `params` with the files that are named here."""
        given = {name: file for name, file in asdict(self).items() if file is not None}
        return params.model_copy(update=given)


AS_NAMED = NetworkFiles()
