import sys
from types import SimpleNamespace

import numpy as np
import pytest
from face_marks import marks, ramp

from stylegan_jax.faces import landmarks
from stylegan_jax.faces.landmarks import DlibFinder, Face, FileFinder, by_size


class FakeDlib:
    """Stands for dlib: two boxes, and landmarks that fill them."""

    def __init__(self):
        self.asked = []

    def get_frontal_face_detector(self):
        return SimpleNamespace(run=self.run)

    def run(self, pixels, doublings, threshold):
        self.asked.append((pixels.shape, doublings, threshold))
        return [20, 50], [1.5, 0.5], [0, 1]

    def shape_predictor(self, path):
        self.path = path

        def predict(pixels, box):
            points = np.rint(marks((90, 90), box / 100)).astype(int)
            at = [SimpleNamespace(x=x, y=y) for x, y in points.tolist()]
            return SimpleNamespace(part=lambda i: at[i])

        return predict


@pytest.fixture
def dlib(monkeypatch):
    fake = FakeDlib()
    monkeypatch.setitem(sys.modules, "dlib", fake)
    monkeypatch.setattr(
        "stylegan_jax.checkpoints.weights.weights_path", lambda name: f"/cache/{name}"
    )
    return fake


def test_dlib_is_asked_and_the_largest_face_is_first(dlib):
    found = DlibFinder(0.3).find("a.png", np.asarray(ramp()))
    assert dlib.path == "/cache/shape_predictor_68"
    assert dlib.asked == [((200, 240, 3), 1, 0.3)]
    assert [face.score for face in found] == [0.5, 1.5]
    np.testing.assert_array_equal(found[0].points, np.rint(marks((90, 90), 0.5)))


def test_large_photos_are_not_doubled(dlib, monkeypatch):
    monkeypatch.setattr(landmarks, "MAX_DOUBLED_PIXELS", 200 * 240 - 1)
    DlibFinder().find("a.png", np.asarray(ramp()))
    assert dlib.asked == [((200, 240, 3), 0, landmarks.THRESHOLD)]


def test_real_dlib_sees_no_face_in_a_ramp():
    pytest.importorskip("dlib", reason="needs the faces extra: pip install dlib-bin")
    from stylegan_jax.checkpoints.weights import weights_state

    if weights_state(landmarks.WEIGHTS) != "there":
        pytest.skip(f"needs stylegan-jax weights get {landmarks.WEIGHTS}")
    assert DlibFinder().find("a.png", np.asarray(ramp())) == []


def test_the_order_of_faces_is_by_size():
    faces = [Face(marks((0, 0), scale)) for scale in (0.2, 0.9, 0.5)]
    assert by_size(faces) == [faces[1], faces[2], faces[0]]


def test_a_file_knows_its_pictures(tmp_path):
    file = tmp_path / "marks.json"
    file.write_text('{"a.png": [], "sub/b.png": []}')
    finder = FileFinder(file)
    assert finder.names == {"a.png", "sub/b.png"}
    assert finder.find("other.png", np.asarray(ramp())) == []
    assert finder.stamp("a.png") == finder.stamp("other.png")
