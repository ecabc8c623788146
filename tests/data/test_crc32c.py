import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_jax.data.crc32c import crc32c, masked_crc32c


def bit_by_bit(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


# RFC 3720, appendix B.4, and the usual check value.
@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_published_values(data, want):
    assert crc32c(data) == want


@given(size=st.integers(0, 3000), seed=st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_lanes_do_not_change_the_sum(size, seed):
    data = np.random.default_rng(seed).bytes(size)
    assert crc32c(data) == bit_by_bit(data)


def test_a_whole_picture():
    data = np.random.default_rng(1).bytes(3 * 256 * 256 + 21)
    assert crc32c(data) == bit_by_bit(data)


def test_masked_sum_rotates_and_adds():
    # The first record of many files is 8 bytes of length; here of an empty one.
    crc = crc32c(bytes(8))
    assert masked_crc32c(bytes(8)) == (
        ((crc >> 15 | crc << 17) & 0xFFFFFFFF) + 0xA282EAD8
    ) % (1 << 32)
