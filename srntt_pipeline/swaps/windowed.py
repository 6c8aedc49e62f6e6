"""Swapped maps of a part of LR, from parts of the references' maps: memory for large images.

Maps take 7168 bytes for each LR pixel and for each position of a reference version. A window of LR
is swapped alone, and of each version only those blocks are encoded that something in the window was
matched in. Both give the values of `swap` on everything at once, but for the rounding of floats.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from srntt_pipeline.images import RGB
from srntt_pipeline.maps import CELLS, CHANNELS, VALUES, Maps
from srntt_pipeline.swaps.cached_encoder import CachedEncoder, maps_bytes
from srntt_pipeline.swaps.correspondence import PATCH, Correspondence, patch_count
from srntt_pipeline.swaps.encoder import Encoder
from srntt_pipeline.swaps.references import Augmentation, augment
from srntt_pipeline.swaps.swap import Swapped, swap_layers, weight_map
from srntt_pipeline.swaps.windows import SEES, SIDE, STRIDE, Window

_HALO = PATCH - 1
BLOCKS = (SIDE - _HALO, 48)  # patches along each side of a block, by the memory there is


def block_bytes(block: int) -> int:
    """Return what the maps of a reference block take as they are kept; `block` patches a side."""
    return _positions_seen(block) * VALUES * 4


def encoding_bytes(block: int) -> int:
    """Return what encoding it takes: relu1_1 eight times, for convolutions, their copies, cells."""
    return 8 * _positions_seen(block) * STRIDE**2 * CHANNELS["relu1_1"] * 4


def _positions_seen(block: int) -> int:
    return (block + _HALO + 2 * SEES) ** 2


class KeptMaps:
    """Swapped maps by window, up to `room` bytes, for networks that share a correspondence."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._left = room
        self._kept: dict[tuple[tuple[str, Window], ...], Swapped] = {}

    def of(self, windows: Mapping[str, Window], swap: Callable[[], Swapped]) -> Swapped:
        """Return the maps of these windows: those that are kept, or else what `swap` makes.

        Its dictionary of maps is the caller's, who may not write to the maps themselves.
        """
        key = tuple(windows.items())
        found = self._kept.get(key)
        if found is None:
            found = swap()
            size = maps_bytes(found.maps) + found.weight.nbytes
            if size <= self._left:
                self._left -= size
                self._kept[key] = found
        return Swapped(dict(found.maps), found.weight)


class WindowedSwap:
    """Swapped maps of windows of LR, for one correspondence and the references it was made with.

    `room`: bytes of raw maps of reference blocks that are kept for the next window; `block`:
    patches along each side of a block; `kept`: maps of this correspondence and these references
    that another WindowedSwap may have made.
    """

    def __init__(
        self,
        found: Correspondence,
        refs: Sequence[RGB],
        versions: Sequence[Augmentation],
        encoder: Encoder,
        room: int,
        block: int = BLOCKS[0],
        kept: KeptMaps | None = None,
    ) -> None:
        self._found, self._refs, self._versions = found, refs, versions
        self._whole = Window(0, found.index.shape[0], 0, found.index.shape[1])
        self._encoder = CachedEncoder(encoder, room)
        self._image: tuple[int, RGB] | None = None
        self._grid = _Grid(found.shapes, block)
        self._kept = kept or KeptMaps(0)

    def swap(self, windows: Mapping[str, Window]) -> Swapped:
        """Return the swapped maps of each layer in its own window, and S* in the largest.

        Shapes and values as in `Swapped`. The largest window must hold the others.
        """
        return self._kept.of(windows, lambda: self._swap(windows))

    def _swap(self, windows: Mapping[str, Window]) -> Swapped:
        patches = {layer: self._patches(window) for layer, window in windows.items()}
        largest = max(windows, key=lambda layer: windows[layer].positions)
        around = patches[largest]
        blocks, numbered = self._grid.number(_cut(self._found, around, self._whole))
        # One object for equal windows: places are then looked up once.
        parts = {part: _cut(numbered, part, around) for part in set(patches.values())}
        maps = swap_layers(
            {layer: parts[part] for layer, part in patches.items()},
            lambda k: self._encode(blocks[k]),
        )
        for layer, window in windows.items():
            maps[layer] = window.of(maps[layer], _positions(patches[layer]), CELLS[layer])
        weight = weight_map(parts[around])
        return Swapped(maps, windows[largest].of(weight, _positions(around)))

    def _patches(self, window: Window) -> Window:
        """Return the patches over a window: up to two above and left of it begin outside."""
        whole = self._whole
        return Window(
            max(window.top - _HALO, 0),
            min(window.bottom, whole.bottom),
            max(window.left - _HALO, 0),
            min(window.right, whole.right),
        )

    def _encode(self, block: "_Block") -> Maps:
        version = self._version(block.version)
        here = block.positions
        maps = next(self._encoder.encode_each([here.cut(version)]))
        return {layer: here.inner(values, version).contiguous() for layer, values in maps.items()}

    def _version(self, number: int) -> RGB:
        """Return the image of a version; blocks of one version follow each other."""
        if self._image is None or self._image[0] != number:
            ref, version = divmod(number, len(self._versions))
            self._image = number, augment(self._refs[ref], self._versions[version])
        return self._image[1]


def _positions(patches: Window) -> Window:
    """Return the positions that patches cover."""
    return Window(patches.top, patches.bottom + _HALO, patches.left, patches.right + _HALO)


def _cut(found: Correspondence, window: Window, within: Window) -> Correspondence:
    """Return the correspondence of a window of the patches of `found`, which cover `within`."""
    index, score, weight = (
        window.of(values, within) for values in (found.index, found.score, found.weight)
    )
    return Correspondence(index, score, weight, found.shapes)


def _first(shapes: Sequence[tuple[int, int]]) -> Tensor:
    """Return the number of the first patch of each map, int64."""
    counts = torch.tensor([patch_count([shape]) for shape in shapes])
    return counts.cumsum(0) - counts


@dataclass(frozen=True)
class _Block:
    """A block of a version's relu3_1 map: which version, and which positions."""

    version: int
    positions: Window


class _Grid:
    """The blocks of maps of these `shapes`: every patch lies wholly in just one of them.

    So blocks are to `swap` what versions are: patches are numbered through them anew.
    """

    def __init__(self, shapes: Sequence[tuple[int, int]], block: int) -> None:
        self._shapes, self._side = shapes, block
        self._first = _first(shapes)
        across = [(-(-(h - _HALO) // block), -(-(w - _HALO) // block)) for h, w in shapes]
        counts = torch.tensor([rows * columns for rows, columns in across])
        self._first_block = counts.cumsum(0) - counts
        self._across = torch.tensor([columns for _, columns in across])
        self._widths = torch.tensor([width - _HALO for _, width in shapes])

    def number(self, found: Correspondence) -> tuple[list[_Block], Correspondence]:
        """Return the blocks in use and `found` as if they were the versions."""
        index = found.index.cpu().contiguous()
        version = torch.searchsorted(self._first, index, right=True) - 1
        rest, widths = index - self._first[version], self._widths[version]
        row, column = rest // widths, rest % widths
        number = self._first_block[version] + (
            row // self._side * self._across[version] + column // self._side
        )
        used, place = number.unique(return_inverse=True)
        blocks = [self._block(int(k)) for k in used]
        shapes = tuple(
            (b.positions.bottom - b.positions.top, b.positions.right - b.positions.left)
            for b in blocks
        )
        first = _first(shapes)
        width = torch.tensor([shape[1] - _HALO for shape in shapes])
        anew = first[place] + row % self._side * width[place] + column % self._side
        return blocks, Correspondence(
            anew.to(found.index.device), found.score, found.weight, shapes
        )

    def _block(self, number: int) -> _Block:
        version = int(torch.searchsorted(self._first_block, number, right=True)) - 1
        height, width = self._shapes[version]
        row, column = divmod(number - int(self._first_block[version]), int(self._across[version]))
        top, left = row * self._side, column * self._side
        return _Block(
            version,
            Window(
                top,
                min(top + self._side + _HALO, height),
                left,
                min(left + self._side + _HALO, width),
            ),
        )
