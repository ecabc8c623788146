import pytest

from stylegan_jax.bench import targets
from stylegan_jax.bench.counts import Product
from stylegan_jax.errors import MissingExtra, UsageError


def test_an_unknown_target_lists_those_there_are():
    with pytest.raises(UsageError, match="no target 'b200'.*v5e-8.*h100"):
        targets.find_target("b200")


@pytest.mark.parametrize("name", targets.TARGETS)
def test_targets_are_whole(name):
    target = targets.find_target(name)
    chip = target.chip
    assert target.name == name and target.devices >= 1
    assert target.topology["platform"] == chip.platform
    peaks = [chip.peak(Product("float32", p)) for p in ("default", "high", "highest")]
    assert peaks == sorted(peaks, reverse=True)
    assert chip.peak(Product("bfloat16", "highest")) == max(chip.flops.values())
    assert chip.peak(Product("float16", "default")) == max(chip.flops.values())
    assert chip.peak(Product("float64", "default")) == min(chip.flops.values())
    assert chip.usable < 100 * 2**30 and chip.source


def test_more_devices_than_the_links_join_use_the_network():
    assert targets.H100.ring(8) == 450e9 and targets.H100.ring(64) == 50e9
    assert targets.V5E.ring(64) == 100e9 and targets.V5E.ring(512) < 10e9


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("h100", "jax_cuda13_plugin", "cuda"), ("v5e-8", "libtpu", "tpu")],
)
def test_a_missing_compiler_says_what_installs_it(monkeypatch, name, package, extra):
    monkeypatch.setattr(targets.importlib.util, "find_spec", lambda module: None)
    said = f"{package}.*pip install 'stylegan_jax\\[{extra}\\]'"
    with pytest.raises(MissingExtra, match=said):
        targets.need_compiler(targets.find_target(name))
