"""LR images that came with a test set (`--lr`): found by name, checked, used as they are."""

from pathlib import Path

from srntt_pipeline.errors import InputError
from srntt_pipeline.images import RGB, SCALE, read_rgb, read_size
from srntt_pipeline.layout import EvaluationSet, Group, with_lr
from srntt_pipeline.memory import Size


def with_given_lr(test_set: EvaluationSet, folder: Path) -> EvaluationSet:
    """Return the test set with an LR image in `folder` for each group.

    Raises InputError where one is missing, or where headers tell that its size is wrong.
    """
    found = with_lr(test_set, folder)
    for group in found.groups:
        assert group.lr is not None  # as `with_lr` saw to
        hr, lr = read_size(group.hr), read_size(group.lr)
        # A header may be of an image that is to be turned: then sides are told the other way round.
        if any(hr) and any(lr) and sorted(_lr_size(hr)) != sorted(lr):
            raise _wrong(group, hr, lr)
    return found


def read_lr(group: Group, hr: RGB) -> RGB:
    """Return the LR image that was given for a group, uint8 [H/4, W/4, 3].

    `hr`: uint8 [H, W, 3], cut to multiples of 4. Raises InputError where the size is another.
    """
    assert group.lr is not None
    lr = read_rgb(group.lr, grey=True)
    if lr.shape[:2] != _lr_size(hr.shape[:2]):
        raise _wrong(group, hr.shape[:2], lr.shape[:2])
    return lr


def _lr_size(hr: Size) -> Size:
    return hr[0] // SCALE, hr[1] // SCALE


def _wrong(group: Group, hr: Size, lr: Size) -> InputError:
    height, width = _lr_size(hr)
    return InputError(
        f"--lr: {group.lr} is {lr[1]}×{lr[0]} px, not {width}×{height}, which is {group.hr.name} "
        f"({hr[1]}×{hr[0]} px) ÷ {SCALE}; name the folder of this test set's LR images at ×{SCALE}"
    )
