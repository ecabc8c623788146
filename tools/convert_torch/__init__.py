"""Reads other programs' checkpoints; installed as `stylegan_jax.convert_torch`.

It will hold the converters between the published StyleGAN2 checkpoints (rosinality's
and NVIDIA's) and this package's model files. There is none yet: the package is empty,
and it is here so that the layout and the layering test already cover it.
"""
