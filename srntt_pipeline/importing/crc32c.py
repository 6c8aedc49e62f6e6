"""CRC-32C, by which TensorFlow's files tell that they are damaged."""

import math

import numpy as np

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed
_ONES = 0xFFFFFFFF


def _table() -> np.ndarray:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = (values >> np.uint32(1)) ^ (values & np.uint32(1)) * np.uint32(_POLYNOMIAL)
    return values


_TABLE = _table()


def crc32c(content: bytes) -> int:
    """Return the CRC-32C of `content`.

    The bytes are laid out in rows, which are read at once, a byte of each after the other. What a
    row's length of zeros makes of a register joins the rows: that is linear, so it is known from
    the register's 32 bits.
    """
    if len(content) < 4:  # the start value, all ones, covers the first four bytes
        return _by_bytes(content)
    side = math.isqrt(len(content)) + 1
    rows = np.zeros(side * side, np.uint8)  # zeros in front change nothing
    values = rows[side * side - len(content) :]
    values[:] = np.frombuffer(content, np.uint8)
    values[:4] ^= 0xFF
    columns = np.ascontiguousarray(rows.reshape(side, side).T)
    registers = np.zeros(side, np.uint32)
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    for column in columns:
        registers = _TABLE[(registers ^ column) & 0xFF] ^ (registers >> 8)
        bits = _TABLE[bits & 0xFF] ^ (bits >> 8)
    shifts = bits.tolist()
    found = 0
    for register in registers.tolist():
        moved = 0
        for bit, shift in enumerate(shifts):
            if found >> bit & 1:
                moved ^= shift
        found = moved ^ register
    return found ^ _ONES


def _by_bytes(content: bytes) -> int:
    found = _ONES
    for value in content:
        found = int(_TABLE[(found ^ value) & 0xFF]) ^ (found >> 8)
    return found ^ _ONES
