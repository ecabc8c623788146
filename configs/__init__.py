"""One experiment per file; installed as `stylegan_jax.configs`."""
