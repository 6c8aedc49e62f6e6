"""Swapped maps of a part of LR, from parts of the references' maps: memory for large images.

Maps take 7168 bytes for each LR pixel and for each position of a reference version. So a window of
LR is swapped alone, and each version is cut into blocks, of which only those are encoded that a
patch over the window was matched in:

    LR: a window, and the       a version in 2×3 blocks; * is a match:
    patches over it             blocks 1 and 3 are encoded, the others never

    ┌───────────────┐           ┌───────┬───────┬───────┐
    │ ┌╌╌╌╌╌╌┐      │           │ 0     │ 1  ** │ 2     │
    │ ╎ ┌──┐ ╎      │           │       │     * │       │
    │ ╎ └──┘ ╎      │           ├───────┼───────┼───────┤
    │ └╌╌╌╌╌╌┘      │           │ 3 *   │ 4     │ 5     │
    └───────────────┘           └───────┴───────┴───────┘

A patch lies in one block, that which it begins in: a block of 126×126 patches has 128×128
positions, and shares two rows and columns of them with the next. So blocks are to `swap` what
versions are, with patches numbered anew. The values are those of `swap` on everything at once, but
for the rounding of floats.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from srntt_pipeline.images import RGB
from srntt_pipeline.maps import CELLS, CHANNELS, FLOAT_BYTES, LAYERS, STRIDE, VALUES
from srntt_pipeline.matching.correspondence import Correspondence
from srntt_pipeline.matching.patches import HALO, CellNumbers, PatchNumbers
from srntt_pipeline.matching.windows import AROUND, SIDE, Window
from srntt_pipeline.swaps.cached_encoder import CachedEncoder, maps_bytes
from srntt_pipeline.swaps.dense import VALUES as DENSE_VALUES
from srntt_pipeline.swaps.encoder import Encoder
from srntt_pipeline.swaps.references import Augmentation, augment, every_version
from srntt_pipeline.swaps.swap import GridMaps, RawMaps, Swapped, swap_layers, weight_map
from srntt_pipeline.views import turned_image

BLOCKS = (SIDE - HALO, 48)  # patches along each side of a block, by the memory there is


def block_bytes(block: int, *, dense: bool) -> int:
    """Return what the maps of a reference block take as they are kept; `block` patches a side.

    `dense`: for matches to the pixel.
    """
    values = DENSE_VALUES * STRIDE**2 if dense else VALUES
    return _positions_seen(block) * values * FLOAT_BYTES


def encoding_bytes(block: int) -> int:
    """Return what encoding it takes: relu1_1 eight times, for convolutions, their copies, cells."""
    return 8 * _positions_seen(block) * STRIDE**2 * CHANNELS["relu1_1"] * FLOAT_BYTES


def _positions_seen(block: int) -> int:
    return (block + HALO + 2 * AROUND) ** 2


def swap_features(
    found: Correspondence,
    refs: Sequence[RGB],
    versions: Sequence[Augmentation],
    encoder: Encoder,
    way: int = 0,
) -> Swapped:
    """Return swapped maps and weight map from a correspondence made with the same arguments.

    Only versions that something was matched in are encoded, block by block. `way`: how versions
    are turned before (`views`); `found` is then the turned one, of `turning`.
    """
    height, width = (side + HALO for side in found.index.shape)
    whole = dict.fromkeys(LAYERS, Window(0, height, 0, width))
    return WindowedSwap(found, refs, versions, encoder, room=0, way=way).swap(whole)


class KeptMaps:
    """Swapped maps that were made before, by their windows, up to `room` bytes.

    Networks that share a correspondence and its references share them: each window is swapped once.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self._left = room
        self._kept: dict[tuple[tuple[str, Window], ...], Swapped] = {}

    def of(self, windows: Mapping[str, Window], swap: Callable[[], Swapped]) -> Swapped:
        """Return the maps of these windows: those that are kept, or else what `swap` makes.

        The caller may take maps out of the dictionary, but must not write to the maps.
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
    that another WindowedSwap may have made; `way`: as `swap_features` has it.
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
        way: int = 0,
    ) -> None:
        self._found, self._tried = found, every_version(refs, versions)
        self._whole = Window(0, found.index.shape[0], 0, found.index.shape[1])
        self._encoder = CachedEncoder(encoder, room)
        self._way = way
        self._image: tuple[int, RGB] | None = None
        self._grid = _Grid(found.shapes, block)
        self._kept = kept or KeptMaps(0)

    def swap(self, windows: Mapping[str, Window]) -> Swapped:
        """Return the swapped maps of each layer in its own window, and S* in the largest.

        Shapes and values as in `Swapped`. The largest window must hold the others.
        """
        return self._kept.of(windows, lambda: self._swap(windows))

    def _swap(self, windows: Mapping[str, Window]) -> Swapped:
        patches = {layer: self._patches_over(window) for layer, window in windows.items()}
        largest = max(windows, key=lambda layer: windows[layer].positions)
        around = patches[largest]
        blocks, numbered = self._grid.in_blocks(self._found.window(around, self._whole))
        # One object for equal windows: places are then looked up once.
        parts = {part: numbered.window(part, around) for part in set(patches.values())}
        maps = swap_layers(
            {layer: parts[part] for layer, part in patches.items()},
            lambda k: self._encode(blocks[k]),
        )
        for layer, window in windows.items():
            maps[layer] = window.of(maps[layer], patches[layer].covered, CELLS[layer])
        weight = weight_map(parts[around])
        return Swapped(maps, windows[largest].of(weight, around.covered))

    def _patches_over(self, window: Window) -> Window:
        """Return the patches over a window: up to two above and left of it begin outside."""
        whole = self._whole
        return Window(
            max(window.top - HALO, 0),
            min(window.bottom, whole.bottom),
            max(window.left - HALO, 0),
            min(window.right, whole.right),
        )

    def _encode(self, block: "_Block") -> RawMaps:
        version = self._version(block.version)
        seen = block.positions.grown(AROUND, *self._found.shapes[block.version])
        pixels = seen.pixels(version)
        if self._found.phase is None:
            maps: RawMaps = GridMaps(next(self._encoder.encode_each([pixels])))
        else:
            maps = self._encoder.dense(pixels, texture=True)
        return _Inside(maps, block.positions.top - seen.top, block.positions.left - seen.left)

    def _version(self, number: int) -> RGB:
        """Return the image of a version; blocks of one version follow each other."""
        if self._image is None or self._image[0] != number:
            self._image = number, turned_image(augment(*self._tried[number]), self._way)
        return self._image[1]


@dataclass(frozen=True)
class _Inside:
    """RawMaps of a block, `down` and `right` positions inside those of more."""

    maps: RawMaps
    down: int
    right: int

    def cells(self, layer: str, phase: int, row: Tensor, column: Tensor) -> Tensor:
        """Return cells as RawMaps does."""
        return self.maps.cells(layer, phase, row + self.down, column + self.right)


@dataclass(frozen=True)
class _Block:
    """A block of a version's relu3_1 map: which version, and which positions."""

    version: int
    positions: Window


class _Grid:
    """The blocks of maps of these `shapes`, `side` patches a side: each patch lies in just one."""

    def __init__(self, shapes: Sequence[tuple[int, int]], side: int) -> None:
        self._shapes, self._side = shapes, side
        self._patches = PatchNumbers(shapes)
        self._blocks = CellNumbers([(-(-(h - HALO) // side), -(-(w - HALO) // side)) for h, w in
                                    shapes])  # fmt: skip

    def in_blocks(self, found: Correspondence) -> tuple[list[_Block], Correspondence]:
        """Return the blocks that `found` matched in, and `found` with these as its versions."""
        side = self._side
        version, row, column = self._patches.places(found.index.cpu())
        number = self._blocks.numbers(version, row // side, column // side)
        used, place = number.unique(return_inverse=True)
        blocks = [self._block(*each) for each in zip(*self._blocks.places(used), strict=True)]
        shapes = tuple(
            (b.positions.bottom - b.positions.top, b.positions.right - b.positions.left)
            for b in blocks
        )
        index = PatchNumbers(shapes).numbers(place, row % side, column % side)
        return blocks, replace(found, index=index.to(found.index.device), shapes=shapes)

    def _block(self, version: Tensor, row: Tensor, column: Tensor) -> _Block:
        number = int(version)
        height, width = self._shapes[number]
        top, left = int(row) * self._side, int(column) * self._side
        patches = Window(
            top,
            min(top + self._side, height - HALO),
            left,
            min(left + self._side, width - HALO),
        )
        return _Block(number, patches.covered)
