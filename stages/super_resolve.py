"""DVC stage super-resolve: PARAMS LR CHECKPOINT OUT REF…."""

import sys
from pathlib import Path

from srntt_pipeline.config import read_params
from srntt_pipeline.console import reporting
from srntt_pipeline.methods.super_resolve import super_resolve

if __name__ == "__main__":
    with reporting():
        params, lr, checkpoint, out, *refs = map(Path, sys.argv[1:])
        super_resolve(lr, refs, checkpoint, out, read_params(params).super_resolve)
