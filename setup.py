"""Metadata of stylegan_jax; `pyproject.toml` has the build system, tools' tables.

It is a `setup.py` because two folders of the top level are installed inside the package
under other names, and `package_dir` says that in two lines.
"""

import ast
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def read_version() -> str:
    """The literal `__version__` of the package, read without importing it.

    An import would need jax, which is not there yet when pip builds the package.
    """
    source = (ROOT / "stylegan_jax" / "__init__.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id == "__version__":
                return str(ast.literal_eval(node.value))
    raise RuntimeError("stylegan_jax/__init__.py assigns no literal __version__")


# Lower bounds are releases that the tests passed with (`make test-lowest`); an upper
# bound excludes the next release that may break anything, which nobody here has run.
REQUIRES = [
    # Python 3.11 gets jax 0.10, newer Pythons 0.11 or 0.12.
    "jax>=0.10.2,<0.13",
    "flax>=0.12.8,<0.14",
    "optax>=0.2.8,<0.4",
    "orbax-checkpoint>=0.12.8,<0.14",
    "tensorflow-datasets>=4.9.10,<5",
    "ml_collections>=1.1.0,<2",
    "clu>=0.0.12,<0.1",
    "pillow>=11.0,<14",
    "grain>=0.2.18,<0.4",
    "safetensors>=0.5.0,<0.10",
    "click>=8.2,<9",
    # jax.export writes StableHLO through it.
    "flatbuffers>=24.3.25,<27",
    "numpy>=2.1,<3",
    "scipy>=1.15,<2",
    "tqdm>=4.66.3,<5",
]

EXTRAS = {
    # Devices: jax's own extras choose the matching plugin.
    "cuda": ["jax[cuda13]>=0.10.2,<0.13"],
    "tpu": ["jax[tpu]>=0.10.2,<0.13"],
    # TensorBoard files (clu.metric_writers imports TensorFlow); preparing a tfds set.
    "tensorflow": ["tensorflow>=2.20,<3", "tensorboard>=2.20,<3"],
    # Only to check a conversion against PyTorch; reading its files needs no torch.
    "torch": ["torch>=2.6,<3"],
    # The prebuilt wheel of dlib: it is imported as `dlib`.
    "faces": ["dlib-bin>=20.0,<21"],
    # Choosing pictures by texts, with weights that the user has.
    "clip": ["transformers>=5.23,<6", "torch>=2.6,<3"],
    # Maps of latents by t-SNE and LLE.
    "maps": ["scikit-learn>=1.8,<2", "threadpoolctl>=3.5,<4"],
    # Films: MP4 out, video frames in.
    "video": ["av>=18.1,<19"],
    # rosinality's datasets.
    "lmdb": ["lmdb>=3.0,<4"],
    # Writing ONNX, and running it to check what was written.
    "onnx": ["onnx>=1.23,<2", "onnxruntime>=1.31,<2"],
    "dev": [
        "build>=1.2,<2",
        "hypothesis>=6.100,<7",
        "mypy>=2.4,<3",
        # As in the extra onnx: its tests are quick.
        "onnx>=1.23,<2",
        "onnxruntime>=1.31,<2",
        "pytest>=9.0,<10",
        "pytest-timeout>=2.4,<3",
        "pytest-xdist>=3.8,<4",
        # The formatter's output differs between minor releases.
        "ruff>=0.17.5,<0.18",
        # As in the extra maps.
        "scikit-learn>=1.8,<2",
        "setuptools>=77,<90",
        "threadpoolctl>=3.5,<4",
        "types-tqdm>=4.66,<5",
    ],
}

setup(
    name="stylegan_jax",
    version=read_version(),
    description="StyleGAN2 in JAX and Flax: from a folder of pictures to a generator",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=[
        *find_packages(include=["stylegan_jax", "stylegan_jax.*"]),
        "stylegan_jax.configs",
        "stylegan_jax.convert_torch",
        *(
            f"stylegan_jax.convert_torch.{name}"
            for name in find_packages("tools/convert_torch")
        ),
    ],
    package_dir={
        "stylegan_jax.configs": "configs",
        "stylegan_jax.convert_torch": "tools/convert_torch",
    },
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["stylegan-jax = stylegan_jax.cli.main:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
)
