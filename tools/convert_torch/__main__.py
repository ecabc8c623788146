"""``python -m stylegan_jax.convert_torch`` is ``stylegan-jax convert``."""

import sys

from stylegan_jax.cli.main import main

if __name__ == "__main__":
    main(["convert", *sys.argv[1:]])
