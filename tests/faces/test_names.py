import pytest

from stylegan_jax.errors import UserError
from stylegan_jax.faces.names import check_names, is_inside


@pytest.mark.parametrize("name", ["../x.png", "/x.png", "a/../../x.png", "", ".."])
def test_names_that_lead_out_of_a_folder(name):
    assert not is_inside(name)
    with pytest.raises(UserError, match="photos.zip has names that lead out"):
        check_names(["a.png", name], "photos.zip")


def test_all_offenders_are_named_and_none_forges_a_line():
    with pytest.raises(UserError, match=r": \.\./a\\n, /b; rename them"):
        check_names(["../a\n", "/b", "c"], "x")


def test_names_that_stay():
    check_names(["a.png", "a/b.png", "...png", "a..b/c.png"], "x")
