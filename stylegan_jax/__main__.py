"""``python -m stylegan_jax`` is the command ``stylegan-jax``."""

from stylegan_jax.cli.main import main

if __name__ == "__main__":
    main()
