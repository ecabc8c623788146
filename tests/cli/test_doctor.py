import json

import pytest
from click.testing import CliRunner

from stylegan_jax.bench import doctor as library
from stylegan_jax.cli.doctor import doctor


def test_json_is_one_object():
    done = CliRunner().invoke(doctor, ["--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["ok"] is True


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_exit_code_says_whether_the_core_works(monkeypatch, ok, code):
    report = {**library.examine(), "ok": ok}
    monkeypatch.setattr(library, "examine", lambda: report)
    done = CliRunner().invoke(doctor)
    assert done.exit_code == code
    assert "the core" in done.stdout
