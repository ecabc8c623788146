import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from face_marks import marks, ramp, scene
from hypothesis import given
from hypothesis import strategies as st

from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.faces import detectors
from stylegan_jax.faces.detectors import (
    Detection,
    DlibFinder,
    as_hog,
    at_hand,
    merge,
    shared,
    tilt,
    turned_back,
)

BOX = (10.0, 10.0, 50.0, 50.0)


class Rectangle:
    """One of dlib's."""

    def __init__(self, *edges):
        self.edges = edges

    def left(self):
        return self.edges[0]

    def top(self):
        return self.edges[1]

    def right(self):
        return self.edges[2]

    def bottom(self):
        return self.edges[3]


class FakeDlib:
    """Stands for dlib: boxes as told, and landmarks that fill them."""

    rectangle = Rectangle

    def __init__(self):
        self.hog = [((40, 40, 80, 80), 1.5), ((100, 40, 120, 60), 0.5)]
        self.cnn = []
        self.asked, self.files, self.looked_at = [], [], []

    def get_frontal_face_detector(self):
        def run(pixels, doublings, threshold):
            self.asked.append((pixels.shape, doublings, threshold))
            boxes, scores = zip(*self.hog, strict=True) if self.hog else ((), ())
            return [Rectangle(*box) for box in boxes], scores, [0] * len(boxes)

        return SimpleNamespace(run=run)

    def cnn_face_detection_model_v1(self, path):
        self.files.append(path)

        def look(pixels, upsample):
            self.looked_at.append(pixels.shape)
            return [
                SimpleNamespace(rect=Rectangle(*box), confidence=score)
                for box, score in self.cnn
            ]

        return look

    def shape_predictor(self, path):
        self.files.append(path)

        def predict(pixels, box):
            centre = (box.left() + box.right()) / 2, (box.top() + box.bottom()) / 2
            points = np.rint(marks(centre, (box.right() - box.left()) / 100))
            at = [SimpleNamespace(x=x, y=y) for x, y in points.astype(int).tolist()]
            return SimpleNamespace(part=lambda i: at[i])

        return predict


@pytest.fixture
def dlib(monkeypatch):
    fake = FakeDlib()
    monkeypatch.setitem(sys.modules, "dlib", fake)
    monkeypatch.setattr(
        "stylegan_jax.checkpoints.weights.weights_path", lambda name: f"/cache/{name}"
    )
    have(monkeypatch, True)
    return fake


def have(monkeypatch, cnn):
    """Says whether the weights of cnn are in the cache."""
    monkeypatch.setattr(
        "stylegan_jax.checkpoints.weights.weights_state",
        lambda name: "there" if cnn else "absent",
    )


def find(pixels=None, **kwargs):
    return DlibFinder(0.3, **kwargs).find("a.png", np.asarray(pixels or ramp()))


def test_hog_is_asked_and_the_largest_face_is_first(dlib):
    dlib.hog.reverse()
    found = find(detector="hog")
    assert dlib.files == ["/cache/shape_predictor_68"]
    assert dlib.asked == [((200, 240, 3), 1, 0.3)]
    assert [dict(face.scores) for face in found] == [{"hog": 1.5}, {"hog": 0.5}]
    np.testing.assert_array_equal(found[0].points, np.rint(marks((60, 60), 0.4)))


def test_large_photos_are_not_doubled(dlib, monkeypatch):
    monkeypatch.setattr(detectors, "MAX_DOUBLED_PIXELS", 200 * 240 - 1)
    find(detector="hog")
    assert dlib.asked == [((200, 240, 3), 0, 0.3)]


def test_cnn_looks_at_a_picture_of_its_size(dlib, monkeypatch):
    find(detector="cnn")
    monkeypatch.setattr(detectors, "CNN_PIXELS", 100 * 120)
    find(detector="cnn")
    assert dlib.looked_at == [(400, 480, 3), (100, 120, 3)] and dlib.asked == []


def test_boxes_of_cnn_are_brought_to_the_picture(dlib):
    # Seen in the picture doubled; moved as hog would have it.
    dlib.cnn = [((80, 80, 160, 160), 0.9), ((0, 0, 9, 9), 0.1)]
    (face,) = find(detector="cnn")
    assert face.detector == "cnn" and dict(face.scores) == {"cnn": 0.9}
    middle = np.rint(face.points.mean(axis=0))
    np.testing.assert_array_equal(middle, [60, 62])


@pytest.mark.parametrize(
    ("every", "hog", "asked"),
    [(False, True, False), (False, False, True), (True, True, True)],
)
def test_auto_asks_cnn_where_it_may_see_more(dlib, every, hog, asked):
    dlib.cnn = [((300, 200, 380, 280), 0.9)]
    if not hog:
        dlib.hog = []
    found = find(every=every)
    assert bool(dlib.looked_at) == asked
    assert ("cnn" in [face.detector for face in found]) == asked


def test_auto_without_the_weights_of_cnn_is_hog_alone(dlib, monkeypatch):
    have(monkeypatch, False)
    assert at_hand("auto") == ("hog",)
    dlib.hog = []
    assert find(every=True) == [] and dlib.looked_at == []
    assert dlib.files == ["/cache/shape_predictor_68"]


def test_choices_of_detectors(dlib):
    assert at_hand("auto") == at_hand("both") == ("hog", "cnn")
    assert at_hand("hog") == ("hog",) and at_hand("cnn") == ("cnn",)
    with pytest.raises(UsageError, match="'yolo': choose from auto, hog, cnn, both"):
        DlibFinder(detector="yolo")


def test_cnn_without_its_weights_says_how_to_get_them(tmp_path, monkeypatch):
    fake = FakeDlib()
    monkeypatch.setitem(sys.modules, "dlib", fake)
    monkeypatch.setenv("STYLEGAN_JAX_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="weights get shape_predictor_68"):
        DlibFinder()
    assert at_hand("auto") == ("hog",)


def test_a_face_that_both_saw_is_one():
    hog = [Detection(BOX, {"hog": 1.0}), Detection((60, 10, 90, 40), {"hog": 0.4})]
    cnn = [
        Detection((14, 14, 54, 54), {"cnn": 1.1}),
        Detection((14, 6, 44, 46), {"cnn": 0.7}),
        Detection((100, 10, 140, 50), {"cnn": 0.9}),
    ]
    found = merge(hog, cnn)
    assert [d.scores for d in found] == [
        {"hog": 1.0, "cnn": 1.1},
        {"hog": 0.4},
        {"cnn": 0.9},
    ]
    assert [d.box for d in found] == [BOX, (60, 10, 90, 40), (100, 10, 140, 50)]
    assert hog[0].scores == {"hog": 1.0}  # what was given stays
    assert merge([], cnn) == cnn and merge(hog, []) == hog


boxes = st.builds(
    lambda x, y, w, h: (x, y, x + w, y + h),
    *[st.floats(-50, 50)] * 2,
    *[st.floats(0, 50)] * 2,
)


@given(one=boxes, two=boxes)
def test_the_shared_share(one, two):
    share = shared(one, two)
    assert 0 <= share <= 1 + 1e-9 and share == shared(two, one)
    if one[2] > one[0] and one[3] > one[1]:
        assert math.isclose(shared(one, one), 1)


def test_boxes_of_hog_lie_lower():
    left, top, right, bottom = as_hog((20, 20, 100, 100), 2.0)
    assert math.isclose(right - left, 38) and math.isclose(bottom - top, 38)
    assert math.isclose((left + right) / 2, 30)
    assert math.isclose((top + bottom) / 2, 32)


@pytest.mark.parametrize("degrees", [-40, 0, 25])
def test_the_tilt_of_a_face(degrees):
    upright = tilt(marks())
    found = tilt(marks(turn=math.radians(degrees)))
    assert abs(found - upright - degrees) < 1e-6
    assert tilt(np.zeros((68, 2))) == 0


@pytest.mark.parametrize("degrees", [-40, 25])
def test_a_tilted_face_is_marked_where_it_is_upright(degrees):
    picture = scene(3, 200).convert("RGB")
    given = []

    def mark(pixels, box):
        given.append((pixels, box))
        return marks(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), 0.3)

    points = turned_back(mark, np.asarray(picture), (80, 90, 120, 130), degrees)
    # Upright landmarks in the picture turned back are tilted ones in the picture.
    expected = marks((100, 110), 0.3, turn=math.radians(degrees))
    np.testing.assert_allclose(points, expected, atol=1e-9)
    ((pixels, box),) = given
    assert pixels.shape == (121, 121, 3) and box == (40, 40, 80, 80)
    middle = np.asarray(picture)[110, 100].astype(int)
    assert np.abs(pixels[60, 60].astype(int) - middle).max() <= 2


def test_only_tilted_faces_are_marked_again(dlib, monkeypatch):
    calls = []

    def again(mark, pixels, box, angle):
        calls.append((box, angle))
        return marks((5, 5), 0.1)

    monkeypatch.setattr(detectors, "turned_back", again)
    dlib.hog = [((40, 40, 80, 80), 1.5)]
    find(detector="hog")
    assert calls == []
    monkeypatch.setattr(detectors, "tilt", lambda points: -20.0)
    (face,) = find(detector="hog")
    assert calls == [((40, 40, 80, 80), -20.0)]
    np.testing.assert_array_equal(face.points, marks((5, 5), 0.1))


@pytest.mark.parametrize("detector", ["hog", "both"])
def test_real_dlib_sees_no_face_in_a_ramp(detector):
    pytest.importorskip("dlib", reason="needs the faces extra: pip install dlib-bin")
    from stylegan_jax.checkpoints.weights import weights_state

    for name in (detectors.WEIGHTS, detectors.CNN_WEIGHTS):
        if weights_state(name) != "there":
            pytest.skip(f"needs stylegan-jax weights get {name}")
    finder = DlibFinder(detector=detector)
    assert finder.find("a.png", np.asarray(ramp())) == []
