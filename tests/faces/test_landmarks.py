import numpy as np
from face_marks import marks, ramp

from stylegan_jax.faces.landmarks import Face, FileFinder, by_size


def test_the_order_of_faces_is_by_size():
    faces = [Face(marks((0, 0), scale)) for scale in (0.2, 0.9, 0.5)]
    assert by_size(faces) == [faces[1], faces[2], faces[0]]


def test_the_detector_of_a_face_is_the_first_that_saw_it():
    assert Face(marks(), {"cnn": 0.7, "hog": 0.1}).detector == "cnn"
    assert Face(marks()).detector is None


def test_a_file_knows_its_pictures(tmp_path):
    file = tmp_path / "marks.json"
    file.write_text('{"a.png": [], "sub/b.png": []}')
    finder = FileFinder(file)
    assert finder.names == {"a.png", "sub/b.png"}
    assert finder.find("other.png", np.asarray(ramp())) == []
    assert finder.stamp("a.png") == finder.stamp("other.png")
