"""Optical flow in place of matching (paper 5.3 and Table 2, SRNTT-flow).

Each LR patch gets the Ref patch that flow from LR↑ to Ref↓↑ leads to, not the most similar one. The
paper took FlowNet2; here it is OpenCV's DIS, which needs no weights, or torchvision's RAFT.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save
from torch import Tensor, nn

from srntt_pipeline.config import MatchParams
from srntt_pipeline.errors import InputError
from srntt_pipeline.files import sha256
from srntt_pipeline.images import RGB, resize
from srntt_pipeline.maps import STRIDE, to_tensor
from srntt_pipeline.matching.correspondence import Candidates, Correspondence, cosines, patch_norms
from srntt_pipeline.matching.patches import HALO, PATCH, PatchNumbers
from srntt_pipeline.portable import one_thread
from srntt_pipeline.swaps.dense import phase_of
from srntt_pipeline.swaps.encoder import Encoder
from srntt_pipeline.swaps.image_matching import VersionsOfReferences
from srntt_pipeline.swaps.references import Augmentation, augment, down_up
from srntt_pipeline.swaps.refine import Refinement
from srntt_pipeline.tensors import check_tensor, read_weights

Displacements = npt.NDArray[np.float32]

_AS_GIVEN = Augmentation(1.0, 0.0)

_DIS_MIN_PX, _DIS_MAX_RATIO = 32, 3  # OpenCV's DIS reads beyond images that are smaller or narrower
_RAFT_MIN_PX, _RAFT_STRIDE = 128, 8
_RAFT_MAX_PX = 1 << 19  # RAFT holds the products of all positions of two images
_RAFTS = ("raft_large", "raft_small")


@dataclass(frozen=True)
class Flow:
    """Optical flow; `networks`: the SHA-256 of its parameters by the key that names them.

    `estimate(a, b)`: how far each pixel of `a` has moved in `b`, right and down, px; images uint8
    [H, W, 3] of one size to float32 [H, W, 2].
    """

    estimate: Callable[[RGB, RGB], Displacements]
    networks: dict[str, str] = field(default_factory=dict)

    def follow(
        self,
        lr_up: RGB,
        refs: Sequence[RGB],
        encoder: Encoder,
        upscaler: Callable[[RGB], RGB],
        *,
        to_pixel: bool = False,
    ) -> Correspondence:
        """Return the correspondence of LR↑, uint8 [H, W, 3], with the references by flow.

        Of several references each LR patch takes the one of the highest score. `upscaler`: what
        made LR↑. A Ref↓↑ of another size than LR↑ is resized to it for the flow. `to_pixel`: a
        match begins at the pixel nearest to where flow leads, not on relu3_1's grid.
        """
        lr = encoder.encode(lr_up, ["relu3_1"])["relu3_1"]
        found: Correspondence | None = None
        for image in refs:
            blurred = down_up(augment(image, _AS_GIVEN), upscaler)
            moved = self.estimate(lr_up, resize(blurred, *lr_up.shape[:2]))
            shape = blurred.shape[0] // STRIDE, blurred.shape[1] // STRIDE
            index, phase = (
                each.to(lr.device) for each in places_at(moved, shape, to_pixel=to_pixel)
            )
            if to_pixel:
                places = Candidates(index[None], torch.zeros_like(index[None]).float(), (shape,))
                refined = Refinement(lr, places, reach=0, phase=phase)
                tried = [(image, _AS_GIVEN)]
                VersionsOfReferences(tried, encoder, upscaler, to_pixel=True).refine([refined])
                here = refined.result()
            else:
                here = score_matches(lr, encoder.encode(blurred, ["relu3_1"])["relu3_1"], index)
            found = here if found is None else found + here
        if found is None:
            raise ValueError("no reference to match with")
        return found


def places_at(
    moved: Displacements, shape: tuple[int, int], *, to_pixel: bool
) -> tuple[Tensor, Tensor]:
    """Return where flow leads each LR patch: Ref patch, int64, and phase, uint8, each [h-2, w-2].

    `moved`: flow from LR↑ to Ref↓↑ resized to its size, float32 [4h, 4w, 2]; `shape`: of Ref's
    relu3_1 map. The mean flow of the 4×4 px in the middle of a patch moves its centre; the nearest
    patch of Ref is taken, at the border that within the map. `to_pixel`: it may begin at any pixel;
    else phases are 0.
    """
    steps = STRIDE if to_pixel else 1  # places from one position to the next
    rows, columns = (side // STRIDE for side in moved.shape[:2])
    cells = moved.reshape(rows, STRIDE, columns, STRIDE, 2).astype(np.float64).mean(axis=(1, 3))
    half = PATCH / 2  # of a patch, in positions of relu3_1
    places: list[Tensor] = []  # row and column
    for axis, (side, ref_side) in enumerate(zip((rows, columns), shape, strict=True)):
        centres = np.arange(side - HALO) + half
        shifts = cells[1:-1, 1:-1, 1 - axis] / STRIDE
        there = (np.expand_dims(centres, 1 - axis) + shifts) * (ref_side / side)
        nearest = np.clip(np.floor(steps * (there - half) + 0.5), 0, steps * (ref_side - PATCH))
        places.append(torch.from_numpy(nearest.astype(np.int64)))
    index = PatchNumbers([shape]).numbers(0, *(place // steps for place in places))
    phase = phase_of(*(place % steps for place in places))
    return index, phase.to(torch.uint8)


def score_matches(lr: Tensor, ref: Tensor, index: Tensor) -> Correspondence:
    """Return the correspondence that matches each patch of `lr` with patch `index` of `ref`.

    `lr` and `ref`: relu3_1 maps, float32 [C, h, w] and [C, h', w']; `index`: int64 [h-2, w-2].
    Scores and cosines are those of Eq. 1 and 6 for these pairs.
    """
    height, width = index.shape
    shape = ref.shape[1], ref.shape[2]
    _, top, left = PatchNumbers([shape]).places(index)
    products = torch.zeros(index.shape, device=lr.device)
    for down in range(PATCH):
        for right in range(PATCH):
            shifted = lr[:, down : down + height, right : right + width]
            products += (shifted * ref[:, top + down, left + right]).sum(0)
    score = products / patch_norms(ref)[top, left]
    return Correspondence(index, score, cosines(score, patch_norms(lr)), (shape,))


def load_flow(params: MatchParams, device: torch.device) -> Flow | None:
    """Return the flow that `params` ask for, RAFT on `device`; None where patches are compared.

    Raises InputError when RAFT's weights cannot be had or do not fit.
    """
    if not params.by_flow:
        return None
    if params.matching == "flow-dis":
        return Flow(dis)
    path = Path(params.flow_weights)
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    return _load_raft(params.flow_weights, changed, device)


def dis(a: RGB, b: RGB) -> Displacements:
    """Return DIS flow of the grey images, on one thread: its result may not depend on others."""
    height, width = a.shape[:2]
    least = max(_DIS_MIN_PX, -(-max(height, width) // _DIS_MAX_RATIO))
    grey = [cv2.cvtColor(_padded(image, least, least), cv2.COLOR_RGB2GRAY) for image in (a, b)]
    with one_thread():
        method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        moved = method.calc(grey[0], grey[1], None)  # type: ignore[call-overload]
    return np.asarray(moved[:height, :width], np.float32)


def _padded(image: RGB, height: int, width: int) -> RGB:
    """Return `image` with its last row and column repeated until it has these sides at least."""
    more = [(0, max(0, least - side)) for side, least in zip(image.shape, (height, width),
            strict=False)]  # fmt: skip
    return np.pad(image, [*more, (0, 0)], mode="edge")


class Raft:
    """RAFT flow by `model`, on `device`; images above half a megapixel are shrunk for it."""

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self._model, self._device = model.to(device), device

    @torch.inference_mode()
    def __call__(self, a: RGB, b: RGB) -> Displacements:
        """Return the displacements; raises InputError when the network gives no numbers."""
        height, width = a.shape[:2]
        factor = min(1.0, (_RAFT_MAX_PX / (height * width)) ** 0.5)
        rows, columns = max(1, round(height * factor)), max(1, round(width * factor))
        # Beside what RAFT divides by 8, its smallest products must be two positions wide.
        padded = [max(_RAFT_MIN_PX, -(-side // _RAFT_STRIDE) * _RAFT_STRIDE)
                  for side in (rows, columns)]  # fmt: skip
        images = [
            to_tensor(_padded(resize(image, rows, columns), *padded))[None].to(self._device) * 2 - 1
            for image in (a, b)
        ]
        moved = self._model(*images)[-1][0].permute(1, 2, 0).cpu().numpy()[:rows, :columns]
        if not np.isfinite(moved).all():
            raise InputError("--flow-weights: RAFT with these gives values that are no numbers")
        if factor < 1:
            moved = cv2.resize(moved, (width, height), interpolation=cv2.INTER_LINEAR)
            moved = moved * np.array([width / columns, height / rows], np.float32)
        return np.asarray(moved, np.float32)


@functools.lru_cache(maxsize=1)
def _load_raft(weights: str, changed: int, device: torch.device) -> Flow:
    state = _downloaded(weights) if weights in _RAFTS else _read(Path(weights))
    for name in [weights] if weights in _RAFTS else list(_RAFTS):
        with torch.device("meta"):  # no memory before a file fits
            model = _torchvision().get_model(name)
        wanted = model.state_dict()
        if state.keys() != wanted.keys():
            continue
        for key, parameter in wanted.items():
            problem = check_tensor(state[key], parameter)
            if problem:
                raise InputError(
                    f"--flow-weights {weights}: {key} is not {name}'s; it is {problem}"
                )
        model.to_empty(device="cpu").load_state_dict(state)
        model.eval().requires_grad_(False)
        made_of = {key: value.contiguous() for key, value in model.state_dict().items()}
        return Flow(Raft(model, device), {"flow_weights": sha256(save(made_of))})
    raise InputError(
        f"--flow-weights {weights}: not the parameters of torchvision's raft_large or raft_small"
    )


def _torchvision() -> Any:
    import torchvision.models  # takes a second that few runs need

    return torchvision.models


def _downloaded(name: str) -> dict[str, Any]:
    try:
        weights = _torchvision().get_model_weights(name).DEFAULT
        return dict(weights.get_state_dict(progress=True, check_hash=True))
    except (URLError, OSError, RuntimeError) as error:
        raise InputError(
            f"cannot download torchvision's {name} ({error}); give a file that holds it with "
            "--flow-weights FILE, or --matching flow-dis, which needs none"
        ) from None


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        names = " or ".join(f"`{name}`" for name in _RAFTS)
        raise InputError(f"--flow-weights {path}: no such file (nor is it {names})")
    return read_weights(path, "--flow-weights")
