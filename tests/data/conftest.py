"""Pictures of every kind, good and bad."""

import io
import json
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image


def gradient(height=24, width=20, channels=3):
    """A picture in which every pixel tells where it is; uint8 [H, W, C]."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 255 // width, y * 255 // height, (x + y) % 256, 255 - x]
    return np.stack(planes[:channels], axis=2).astype(np.uint8)


def encode(image, format="PNG", **options):
    """Encodes an array or a Pillow image."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    buffer = io.BytesIO()
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


def bomb_png(width=60000, height=60000):
    """A few bytes that declare gigapixels."""

    def chunk(kind, body):
        checksum = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*part) for part in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    )


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def sixteen(height=24, width=20):
    values = np.arange(height * width).reshape(height, width) * 136
    return encode(Image.fromarray(values.astype(np.uint16)))


@pytest.fixture
def make():
    """The functions above, since test modules cannot import each other."""

    class Make:
        gradient = staticmethod(gradient)
        encode = staticmethod(encode)
        bomb_png = staticmethod(bomb_png)
        exif = staticmethod(exif)
        sixteen = staticmethod(sixteen)

        @staticmethod
        def folder(path, num=6, size=16, labels=None):
            """Numbered pictures of one size; returns the folder as text."""
            path.mkdir(parents=True, exist_ok=True)
            for i in range(num):
                array = np.full((size, size, 3), i * 7 % 256, np.uint8)
                array[:, : size // 2, 0] = 200
                (path / f"p{i:03d}.png").write_bytes(encode(array))
            if labels is not None:
                (path / "dataset.json").write_text(json.dumps({"labels": labels}))
            return str(path)

        @staticmethod
        def zip(path, members):
            with zipfile.ZipFile(path, "w") as archive:
                for name, data in members.items():
                    archive.writestr(name, data)
            return str(path)

    return Make


@pytest.fixture
def offenders(tmp_path):
    """A folder with two good pictures and one of every offence; (path, kinds)."""
    folder = tmp_path / "offenders"
    (folder / "deep").mkdir(parents=True)
    good = gradient(16, 16)
    rgba = np.dstack([good, np.full((16, 16), 128, np.uint8)])
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    jpeg = encode(gradient(64, 64), "JPEG")
    files = {
        "a_good.png": (encode(good), set()),
        "b_good.png": (encode(good[::-1].copy()), set()),
        "c_same.png": (encode(good), {"duplicate"}),
        "d_size.png": (encode(gradient(20, 24)), {"size"}),
        "e_grey.png": (encode(gradient(16, 16, 1)), {"grey"}),
        "f_palette.png": (encode(Image.fromarray(good).quantize(8)), {"palette"}),
        "g_alpha.png": (encode(rgba), {"alpha"}),
        "h_cmyk.jpg": (encode(Image.fromarray(good).convert("CMYK"), "JPEG"), {"cmyk"}),
        "i_deep.png": (sixteen(16, 16), {"deep"}),
        "j_turned.jpg": (encode(good, "JPEG", exif=exif(6)), {"turned"}),
        "k_cut.jpg": (jpeg[: len(jpeg) // 2], {"truncated"}),
        "l_cut.png": (encode(noise)[:2000], {"truncated"}),
        "m_zero.png": (b"", {"empty"}),
        "n_text.png": (b"<html>404 not found</html>", {"not_a_picture"}),
        "o_bomb.png": (bomb_png(), {"bomb"}),
        "p_noise.jpg": (bytes(range(256)) * 4, {"not_a_picture"}),
        "q_photo.heic": (b"\0\0\0\x18ftypheic" + b"\0" * 64, {"not_a_picture"}),
        "deep/r_bomb.png": (bomb_png(17000, 15000), {"bomb"}),
    }
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    return str(folder), {name: kinds for name, (_, kinds) in files.items()}
