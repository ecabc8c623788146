"""The formats that `convert` writes; light, because ``--help`` imports it."""

TARGETS = ("jax", "rosinality", "nvlabs", "psp", "pix2pixhd")
