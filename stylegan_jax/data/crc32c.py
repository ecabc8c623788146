"""CRC-32C (Castagnoli; RFC 3720, appendix B.4), fast enough for whole pictures.

The checksum is linear over GF(2). Bytes are laid out as many equal lanes, which go
through the table together; then neighbours are joined: the left one's checksum is
carried over as many zero bytes as the right one is long, and the two are added.
"""

from __future__ import annotations

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78  # reflected
_ALL = 0xFFFFFFFF
# Bytes that one lane has at least; shorter lanes cost more to join than they save.
_LANE_BYTES = 64
_MOST_LANES = 4096
_MASK_DELTA = 0xA282EAD8


def crc32c(data: bytes) -> int:
    """Returns the checksum of bytes, from 0 to 2^32 - 1."""
    lanes = 1
    while lanes < _MOST_LANES and len(data) >= 2 * lanes * _LANE_BYTES:
        lanes *= 2
    length = len(data) // lanes
    state = _ALL
    if lanes > 1:
        columns = np.frombuffer(data, np.uint8, lanes * length).reshape(lanes, length)
        found = np.zeros(lanes, np.uint32)
        found[0] = state
        table = _table()
        for column in np.ascontiguousarray(columns.T):
            found = table[(found ^ column) & 0xFF] ^ (found >> np.uint32(8))
        zeros = _zeros(length)
        while len(found) > 1:
            found = _apply(zeros, found[::2]) ^ found[1::2]
            zeros = _apply(zeros, zeros)
        state = int(found[0])
        data = data[lanes * length :]
    entries = _entries()
    for byte in data:
        state = entries[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state ^ _ALL


def masked_crc32c(data: bytes) -> int:
    """Returns the checksum as TFRecords store it: rotated by 15 bits, and shifted."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _ALL


@functools.cache
def _entries() -> tuple[int, ...]:
    """What each byte does to a state of zero."""
    table = []
    for entry in range(256):
        for _ in range(8):
            entry = (entry >> 1) ^ (_POLYNOMIAL if entry & 1 else 0)
        table.append(entry)
    return tuple(table)


@functools.cache
def _table() -> np.ndarray:
    return np.array(_entries(), np.uint32)


@functools.lru_cache(64)
def _zeros(count: int) -> np.ndarray:
    """What ``count`` ≥ 1 zero bytes do to each of a state's 32 bits; [32] uint32."""
    bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
    one = _table()[bits & 0xFF] ^ (bits >> np.uint32(8))
    result = bits
    while count:
        if count & 1:
            result = _apply(one, result)
        one = _apply(one, one)
        count >>= 1
    return result


def _apply(matrix: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Multiplies states, [N] uint32, by a matrix over GF(2) given by its columns."""
    result = np.zeros_like(states)
    for bit in range(32):
        chosen = (states >> np.uint32(bit)) & np.uint32(1)
        result ^= matrix[bit] * chosen
    return result
