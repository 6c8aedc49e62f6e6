"""The public interface: what a researcher uses in Python, from one place.

`from srntt_pipeline.api import …`; docs/api.md shows each topic at work.

- Parameters: `read_params` reads a params file into `Params`, a typed section for each stage.
- Data sets: `build_cufed5` makes one of photo albums, `demo_albums` makes albums to try it on;
  `read_train_pairs` and `read_test_set` read a data set, ours or as released. `read_rgb`,
  `to_tensor` and `to_image` go from files to tensors and back, `make_hr`, `make_lr` and `bicubic`
  from HR to LR and to LR↑.
- Swapped maps: `precompute_swaps` writes them, `open_swapped_pairs` reads them as a PyTorch data
  set. `Shards` holds the correspondences themselves, `matcher_for` makes one of images at hand and
  `swap_features` the maps of it; `load_encoder` loads VGG19.
- Networks: `register` names your own, `build_model` makes one by a name of `model_names`,
  `load_checkpoint` reads what training wrote, `import_weights` makes such a checkpoint of files
  that others published.
- Training: `train` trains by a recipe: `SrnttRecipe`, `SisrRecipe`, `EdsrRecipe`, one that
  `get_recipe` finds, or your own, under `recipe`, made of `Phase`, `Objective` and `Loss`
  (`reconstruction` is one). `loss` names your own loss function, which looks at a `Context`.
- Evaluation: `evaluate` measures methods on a test set, `paper_tables` sets the numbers of several
  beside the paper's, `super_resolve` enlarges one file. `network_method` makes a method of a
  network, `Method` one of anything; it gets a `Scene`, and raises `CannotRun` where it has no SR.
- User study: `make_study` makes one of an evaluation's images, by `StudyParams`; `serve_study` asks
  participants, `collect_votes` takes votes of the page without a server, and `study_report` makes
  Figure 6 of them, by `StudyReportParams`.
- What is wrong with an input is told by an `InputError`, in a line.
"""

from srntt_pipeline.albums.build import build_cufed5
from srntt_pipeline.albums.demo import demo_albums
from srntt_pipeline.checkpoints import Checkpoint, CheckpointInfo, load_checkpoint
from srntt_pipeline.config import (
    BuildParams,
    DemoAlbumsParams,
    EvaluateParams,
    Params,
    StudyParams,
    StudyReportParams,
    SuperResolveParams,
    SwapParams,
    TablesParams,
    read_params,
)
from srntt_pipeline.degradation import Making, bicubic, make_hr, make_lr
from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.evaluate import evaluate
from srntt_pipeline.evaluation.paper_tables import paper_tables
from srntt_pipeline.evaluation.protocols import PROTOCOLS, Protocol
from srntt_pipeline.images import RGB, SCALE, read_rgb
from srntt_pipeline.import_weights import import_weights
from srntt_pipeline.layout import EvaluationSet, Group, TrainPair, read_test_set, read_train_pairs
from srntt_pipeline.maps import CHANNELS, LAYERS, Maps, to_image, to_tensor
from srntt_pipeline.methods import CannotRun, Method, Scene, network_method
from srntt_pipeline.methods.super_resolve import super_resolve
from srntt_pipeline.models import build_model, model_names, register
from srntt_pipeline.recipes import (
    Loss,
    Objective,
    Phase,
    RawReferences,
    Recipe,
    get_recipe,
    recipe,
    reconstruction,
)
from srntt_pipeline.recipes.edsr import EdsrRecipe
from srntt_pipeline.recipes.sisr import SisrRecipe
from srntt_pipeline.recipes.srntt import SrnttRecipe
from srntt_pipeline.study.collect import collect_votes
from srntt_pipeline.study.make import make_study
from srntt_pipeline.study.report import study_report
from srntt_pipeline.study.serve import serve_study
from srntt_pipeline.swaps.dataset import SwappedPair, SwappedPairs, open_swapped_pairs
from srntt_pipeline.swaps.encoder import Encoder, load_encoder
from srntt_pipeline.swaps.matcher import Matcher, matcher_for
from srntt_pipeline.swaps.precompute import precompute_swaps
from srntt_pipeline.swaps.shards import Shards, StoredSwap
from srntt_pipeline.swaps.swap import Swapped
from srntt_pipeline.swaps.windowed import swap_features
from srntt_pipeline.training.loop import train
from srntt_pipeline.training.objective import Context, loss

__all__ = [
    "CHANNELS",
    "LAYERS",
    "PROTOCOLS",
    "RGB",
    "SCALE",
    "BuildParams",
    "CannotRun",
    "Checkpoint",
    "CheckpointInfo",
    "Context",
    "DemoAlbumsParams",
    "EdsrRecipe",
    "Encoder",
    "EvaluateParams",
    "EvaluationSet",
    "Group",
    "InputError",
    "Loss",
    "Making",
    "Maps",
    "Matcher",
    "Method",
    "Objective",
    "Params",
    "Phase",
    "Protocol",
    "RawReferences",
    "Recipe",
    "Scene",
    "Shards",
    "SisrRecipe",
    "SrnttRecipe",
    "StoredSwap",
    "StudyParams",
    "StudyReportParams",
    "SuperResolveParams",
    "SwapParams",
    "Swapped",
    "SwappedPair",
    "SwappedPairs",
    "TablesParams",
    "TrainPair",
    "bicubic",
    "build_cufed5",
    "build_model",
    "collect_votes",
    "demo_albums",
    "evaluate",
    "get_recipe",
    "import_weights",
    "load_checkpoint",
    "load_encoder",
    "loss",
    "make_hr",
    "make_lr",
    "make_study",
    "matcher_for",
    "model_names",
    "network_method",
    "open_swapped_pairs",
    "paper_tables",
    "precompute_swaps",
    "read_params",
    "read_rgb",
    "read_test_set",
    "read_train_pairs",
    "recipe",
    "reconstruction",
    "register",
    "serve_study",
    "study_report",
    "super_resolve",
    "swap_features",
    "to_image",
    "to_tensor",
    "train",
]
