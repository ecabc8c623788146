import numpy as np
import pytest
from click.testing import CliRunner

from stylegan_jax.cli.facespace import facespace
from stylegan_jax.pipelines import facespace as library
from stylegan_jax.training.loop import Outcome


@pytest.mark.parametrize(("l2", "warned"), [([0.1, 0.2], False), ([0.1, 0.6], True)])
def test_a_face_beyond_the_mean_face_is_no_success(monkeypatch, tmp_path, l2, warned):
    done = library.Fitted(
        Outcome(None, 8, None),
        tmp_path,
        tmp_path / "s.safetensors",
        tmp_path / "s.png",
        ("a.png", "b.png"),
        np.array(l2),
        np.array([0.3, 0.3]),
    )
    monkeypatch.setattr(library, "fit_file", lambda *_, **__: done)
    monkeypatch.setattr("stylegan_jax.cli.facespace_fit.say_licence", lambda _: None)
    arguments = ["fit", "faces", "g.safetensors", str(done.out)]
    result = CliRunner().invoke(facespace, arguments)
    assert result.exit_code == 0, result.output
    assert ("mean face: give more --epochs" in result.stderr) is warned
    assert ("times nearer than the mean face" in result.stdout) is not warned
