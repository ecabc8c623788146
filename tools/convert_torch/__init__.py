"""Other programs' checkpoints, read and written; `stylegan_jax.convert_torch`.

From the inside out: `readers` (files to tensors, nothing executed), `sources` (whose
file it is), `rules` (which tensor becomes which), `converted` and `conversion` (the
whole way), `exporting` (back again), `parity` and `twins` (proof), `describe`.
"""
