"""Plans through the chips' real compilers, which need no chip."""

import importlib.util

import pytest

from stylegan_jax.bench import plan as library
from stylegan_jax.bench import plan_table

SMALL = (
    "--config.data.resolution=16",
    "--config.model.z_dim=16",
    "--config.model.w_dim=32",
    "--config.model.channel_base=512",
    "--config.model.channel_max=32",
    "--config.train.precision=bfloat16",
)
PLUGINS = {"v5e-4": "libtpu", "h100": "jax_cuda13_plugin"}


@pytest.mark.aot
@pytest.mark.slow
@pytest.mark.parametrize("target", PLUGINS)
def test_a_small_run_is_planned(target):
    if importlib.util.find_spec(PLUGINS[target]) is None:
        pytest.skip(f"needs {PLUGINS[target]}")
    found = library.plan(
        library.Request(
            config="stylegan2_toy",
            overrides=SMALL,
            target=target,
            images_per_device=4,
            phases=("g_main", "end"),
            # The TPU's compiler takes a minute for each.
            search=target == "h100",
        )
    )
    assert found["compiles"] and found["fits"]
    g_main, end = found["programs"]
    assert g_main["flops_by"] == ("XLA" if target == "v5e-4" else "counted")
    assert g_main["seconds"] > 0 and g_main["memory"]["temporaries"] > 0
    ratio = g_main["collective_bytes_by_parameter_bytes"]
    if found["target"]["devices"] == 1:
        assert ratio is None and g_main["collective_bytes"] == 0
    else:
        assert ratio == pytest.approx(1, abs=0.01)
    assert end["collective_bytes"] == 0
    if target == "h100":
        assert found["largest"]["images"] > 4
    assert "mean step of the programs chosen" in plan_table.describe(found)
