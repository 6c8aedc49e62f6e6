"""From LR and references to SR: the one door from evaluation to networks.

To add a method, open `method.py`, which says what one is, and docs/adding.md. A network is none of
these: it is a file in `srntt_pipeline/models`, and a method by itself.

A `Method` makes SR of a `Scene`, which has LR and the references at hand. `bicubic`, `srntt`
(networks fed with swapped maps), `networks` (fed with LR, or with raw references), `at_hand` (a
network that Python holds) and `folder` (images that another program made) are methods; `sources`
reads what `--method` names, `cost` measures what a method takes. `restorer` and `tiles` run SRNTT
within bounded memory.
"""

from srntt_pipeline.methods.at_hand import network_method
from srntt_pipeline.methods.method import CannotRun, Method
from srntt_pipeline.methods.scene import Scene

__all__ = ["CannotRun", "Method", "Scene", "network_method"]
