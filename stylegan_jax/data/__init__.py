"""Files to uint8 batches: sources, checks, preparation, datasets and the stream.

Import from the modules themselves (``stylegan_jax.data.dataset`` and so on): nothing is
re-exported here, so that drawing toy faces does not load the input pipeline.
"""
