"""Configurations by name or file, and the words that change them."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stylegan_jax.errors import UsageError
from stylegan_jax.training.experiment import config_names, load_config, to_plain

FILE = """
from ml_collections import ConfigDict

def get_config(arg=""):
    if arg not in ("", "short"):
        raise ValueError(f"unknown argument '{arg}'")
    return ConfigDict({"steps": 1 if arg else 10, "sizes": (1, 2), "name": "x"})
"""


def load(*words, name="stylegan2_base"):
    return load_config(name, [f"--config.{word}" for word in words])


def refusal(*words, name="stylegan2_base"):
    with pytest.raises(UsageError) as caught:
        load(*words, name=name)
    assert caught.value.exit_code == 2
    return str(caught.value)


class TestNames:
    def test_the_package_s_own(self):
        assert {"stylegan2", "stylegan2_auto", "stylegan2_toy"} <= set(config_names())
        assert not [name for name in config_names() if name.startswith("_")]
        assert load(name="stylegan2_cifar").train.batch == 64

    def test_an_argument_behind_a_colon(self):
        assert load(name="stylegan2_cifar:smoke").train.total_kimg == 2.0
        assert refusal(name="stylegan2_cifar:smok") == (
            "Configuration stylegan2_cifar:smok: unknown argument 'smok', choose "
            "'smoke' or nothing."
        )

    def test_unknown_names_say_the_nearest(self):
        said = refusal(name="stylegan2_cifra")
        assert said.startswith(
            "There is no configuration 'stylegan2_cifra'. Did you mean stylegan2_cifar?"
            " Choose from attributes, "
        )
        assert said.endswith(", or give a Python file.")
        assert "Did you mean" not in refusal(name="qqq")

    def test_a_file(self, tmp_path):
        path = tmp_path / "mine.py"
        path.write_text(FILE)
        assert load(name=f"{path}").steps == 10
        assert load(name=f"{path}:short").steps == 1
        assert load("steps=3", "sizes=4,5", name=f"{path}:short").sizes == (4, 5)
        assert "unknown argument 'long'" in refusal(name=f"{path}:long")

    def test_files_that_are_none(self, tmp_path):
        path = tmp_path / "mine.py"
        assert f"There is no configuration '{path}'" in refusal(name=str(path))
        path.write_text("x = 1")
        assert refusal(name=str(path)) == (
            f"The configuration {path} has no function get_config(arg)."
        )
        assert "no configuration 'aaa" in refusal(name="a" * 300 + ".py")

    @given(st.text())
    @settings(deadline=None, max_examples=50)
    def test_any_text_is_refused_in_a_sentence(self, name):
        if name.partition(":")[0] not in config_names():
            assert "There is no configuration" in refusal(name=name)


class TestOverrides:
    @pytest.mark.parametrize(
        "word, value",
        [
            ("train.batch=16", 16),
            ("train.batch=None", None),
            ("train.total_kimg=3", 3.0),
            ("train.total_kimg=1e-3", 0.001),
            ("loss.r1_gamma=3", 3.0),
            ("loss.r1_gamma=None", None),
            ("model.conv_clamp=256", 256.0),
            ("data.mirror=true", True),
            ("data.mirror=FALSE", False),
            ("data.labels=1", True),
            ("data.labels=0", False),
            ("train.precision=bfloat16", "bfloat16"),
            ("eval.metrics=swd", ("swd",)),
            ("eval.metrics=swd, fid", ("swd", "fid")),
            ("eval.metrics=('swd',)", ("swd",)),
            ("eval.metrics=['swd']", ("swd",)),
            ("eval.metrics=3", ("3",)),
            ("eval.metrics=", ()),
            ("eval.metrics=()", ()),
            ("data.resolution=256", 256),
            ("data.resolution=320x256", "320x256"),
            ("data.resolution=(320,256)", (320, 256)),
            ("data.resolution=None", None),
            ("train.batch_per_device=auto", "auto"),
            ("train.batch_per_device=4", 4),
            ("data.path=photos", "photos"),
            ("data.path=a=b/c,d:e", "a=b/c,d:e"),
            ("data.path=a/:3,b/:1", "a/:3,b/:1"),
            ("data.path=[('a', 3), ('b', 1)]", [("a", 3), ("b", 1)]),
            ("data.path=None", None),
            ("data.path=007", "007"),
            ("data.path=1e5", "1e5"),
            ("data.path=0b1", "0b1"),
            ("data.path={[]: 1}", "{[]: 1}"),
        ],
    )
    def test_values_have_the_type_of_their_field(self, word, value):
        node = load(word)
        for part in word.partition("=")[0].split("."):
            node = node[part]
        assert node == value and type(node) is type(value)

    @pytest.mark.parametrize("text", ["(" * 500, "-" * 100_000, "\0", "'"])
    def test_text_that_python_cannot_read_stays_text(self, text):
        assert load(f"data.path={text}").data.path == text

    def test_the_last_word_counts(self):
        assert load("train.batch=1", "train.batch=2").train.batch == 2

    def test_one_configuration_does_not_change_another(self):
        load("train.total_kimg=1")
        assert load().train.total_kimg == 25000.0

    def test_plain_dicts(self):
        plain = to_plain(load("data.resolution=64"))
        assert type(plain["data"]) is dict
        assert plain["data"]["resolution"] == 64
        assert plain["train"]["batch"] is None


class TestRefusals:
    @pytest.mark.parametrize(
        "word, kind",
        [
            ("train.batch=1e3", "a whole number, got '1e3'"),
            ("train.batch=16.5", "a whole number, got '16.5'"),
            ("train.batch=", "a whole number, got ''"),
            ("eval.num=True", "a whole number, got 'True'"),
            ("loss.r1_gamma=high", "a number, got 'high'"),
            ("train.total_kimg=25k", "a number, got '25k'"),
            ("data.mirror=yes", "true or false, got 'yes'"),
        ],
    )
    def test_wrong_types(self, word, kind):
        assert refusal(word) == f"config.{word.partition('=')[0]} takes {kind}."

    @pytest.mark.parametrize(
        "word, start",
        [
            (
                "train.bacth=1",
                "config.train has no 'bacth'. Did you mean batch? It has ",
            ),
            ("trian.batch=1", "config has no 'trian'. Did you mean train"),
            (
                "train.x.y=1",
                "config.train has no 'x'. It has batch, batch_per_device, ",
            ),
            ("=1", "config has no ''. It has augment, data, ema, eval, "),
        ],
    )
    def test_unknown_keys_say_the_nearest(self, word, start):
        assert refusal(word).startswith(start)

    def test_a_section_is_no_value_and_a_value_no_section(self):
        assert refusal("ema=3") == (
            "'--config.ema' is a section: set one of kimg, rampup in it."
        )
        assert refusal("data.path.x=3") == (
            "'--config.data.path.x': path is a value, not a section."
        )

    @pytest.mark.parametrize("word", ["train.batch=1", "--config.train.batch", "x", ""])
    def test_other_words(self, word):
        with pytest.raises(UsageError) as caught:
            load_config("stylegan2_base", [word])
        assert str(caught.value) == (
            f"'{word}' is not understood: overrides look like --config.train.batch=16."
        )


def fields(config, where=""):
    found = []
    for key in config:
        place = f"{where}{key}"
        nested = hasattr(config[key], "items")
        found += fields(config[key], f"{place}.") if nested else [place]
    return found


WORDS = st.one_of(
    st.text(),
    st.builds("--config.{}={}".format, st.text(), st.text()),
    st.builds("--config.{}={}".format, st.sampled_from(fields(load())), st.text()),
)


@given(st.lists(WORDS, max_size=3))
@example(["--config.data.path={[]:1}"])
@settings(deadline=None, max_examples=200)
def test_any_words_are_taken_or_refused_in_a_sentence(words):
    try:
        load_config("stylegan2_base", words)
    except UsageError as error:
        assert str(error)
