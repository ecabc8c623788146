import json
import sys
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.errors import MissingExtra, UsageError, UserError
from stylegan_jax.faces.frames import FRAMES, write_frames


def film(path, *, num=12, turn=None, sound=False):
    """Writes a film of 4 frames per second in which frame i has the grey level 20·i."""
    av = pytest.importorskip("av", reason="needs the video extra: pip install av")
    with av.open(str(path), "w") as container:
        if sound:
            stream = container.add_stream("pcm_s16le", rate=8000)
            audio = av.AudioFrame(format="s16", layout="stereo", samples=1024)
            audio.sample_rate = 8000
            container.mux(stream.encode(audio))
        else:
            stream = container.add_stream("mpeg4", rate=4)
            stream.width, stream.height = 48, 32
            stream.pix_fmt = "yuv420p"
            if turn is not None:
                stream.set_display_rotation(turn)
            for index in range(num):
                pixels = np.full((32, 48, 3), 20 * (index % 12), np.uint8)
                pixels[:, 40:] = 255  # a white stripe on the right
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 4)
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def levels(folder):
    """Index in the name → grey level of the picture."""
    found = {}
    for path in sorted(folder.glob("*.png")):
        pixels = np.asarray(Image.open(path))
        found[int(path.stem.removeprefix("frame_"))] = int(pixels[16, 8, 0])
    return found


def test_every_frame(tmp_path):
    seen = []
    done = write_frames(
        film(tmp_path / "a.mp4"),
        tmp_path / "out",
        progress=lambda *now: seen.append(now),
    )
    assert (done.num, done.width, done.height, done.turned) == (12, 48, 32, 0)
    assert done.fps == 4 and seen[-1] == (2.75, 3.0)
    found = levels(tmp_path / "out")
    assert list(found) == list(range(12))
    assert all(abs(level - 20 * index) < 8 for index, level in found.items())
    listed = json.loads((tmp_path / "out" / FRAMES).read_text())
    assert listed["frames"][3] == {
        "file": "frame_000003.png",
        "index": 3,
        "seconds": 0.75,
    }


def test_start_stop_and_step(tmp_path):
    video = film(tmp_path / "a.mp4")
    done = write_frames(video, tmp_path / "out", start=0.5, stop=2.5, step=3)
    assert [frame["index"] for frame in done.frames] == [2, 5, 8]
    with pytest.raises(UserError, match=r"no frame between 9 s and its end .* 2\.75 s"):
        write_frames(video, tmp_path / "none", start=9)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("turn", "side"), [(90, "top"), (-90, "bottom"), (180, "left")]
)
def test_films_are_turned_as_they_ask(tmp_path, turn, side):
    video = film(tmp_path / "a.mp4", turn=turn)  # counter-clockwise
    done = write_frames(video, tmp_path / "out", stop=0.2)
    assert done.turned == -turn % 360
    pixels = np.asarray(Image.open(tmp_path / "out" / "frame_000000.png"))[..., 0]
    edges = {
        "top": pixels[2],
        "bottom": pixels[-3],
        "left": pixels[:, 2],
        "right": pixels[:, -3],
    }
    white = {name for name, edge in edges.items() if np.median(edge) > 200}
    assert white == {side}
    # By hand instead.
    assert write_frames(video, tmp_path / "as_is", rotate="0", stop=0.2).turned == 0


def test_damaged_films_and_things_that_are_none(tmp_path):
    whole = film(tmp_path / "a.mp4")
    video = tmp_path / "cut.mp4"
    video.write_bytes(whole.read_bytes()[:300])
    with pytest.raises(UserError, match="cannot be read beyond"):
        write_frames(video, tmp_path / "out")
    with pytest.raises(UserError, match="has sound only"):
        write_frames(film(tmp_path / "b.wav", sound=True), tmp_path / "out")
    with pytest.raises(UserError, match="no film"):
        write_frames(tmp_path / "absent.mp4", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_film_that_is_cut_off_says_so(tmp_path):
    whole = film(tmp_path / "a.avi", num=40)
    video = tmp_path / "cut.avi"
    data = whole.read_bytes()
    begin = data.index(b"movi")  # where the pictures are
    video.write_bytes(data[: begin + (len(data) - begin) // 3])
    done = write_frames(video, tmp_path / "out")
    assert done.num < 40 and done.cut_off > 1
    assert write_frames(video, tmp_path / "head", stop=1).cut_off is None
    assert write_frames(whole, tmp_path / "whole").cut_off is None


def test_only_its_own_folders_are_replaced(tmp_path):
    video = film(tmp_path / "a.mp4")
    write_frames(video, tmp_path / "out", step=6)
    with pytest.raises(UserError, match="exists already"):
        write_frames(video, tmp_path / "out")
    write_frames(video, tmp_path / "out", step=4, overwrite=True)
    assert list(levels(tmp_path / "out")) == [0, 4, 8]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"start": -1.0}, "start is -1"),
        ({"start": 2.0, "stop": 2.0}, "not after start"),
        ({"step": 0}, "step is 0"),
        ({"rotate": "45"}, "choose from auto"),
    ],
)
def test_wrong_usage(tmp_path, options, said):
    with pytest.raises(UsageError, match=said):
        write_frames(tmp_path / "a.mp4", tmp_path / "out", **options)


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"there is no film .*a\.mp4: check the name"):
        write_frames(tmp_path / "a.mp4", tmp_path / "out")  # what is wrong comes first
    (tmp_path / "a.mp4").write_bytes(b"film")
    with pytest.raises(MissingExtra, match=r"stylegan_jax\[video\]"):
        write_frames(tmp_path / "a.mp4", tmp_path / "out")
