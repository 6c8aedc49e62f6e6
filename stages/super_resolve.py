"""DVC stage super-resolve: PARAMS LR CHECKPOINT OUT [FOLDER] [REF…]."""

from pathlib import Path

from srntt_pipeline.config import read_params
from srntt_pipeline.console import arguments, reporting
from srntt_pipeline.methods.super_resolve import super_resolve

if __name__ == "__main__":
    with reporting():
        params, lr, checkpoint, out, *refs = map(Path, arguments(__doc__))
        # References lie in FOLDER, so that DVC need know no more than that.
        paths = [refs[0] / name for name in refs[1:]]
        super_resolve(lr, paths, checkpoint, out, read_params(params).super_resolve)
