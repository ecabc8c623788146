"""The peers' own code is not here: a stand-in answers in its process's place."""

import contextlib
import io
import json
import os
import sys
import textwrap
import types

import pytest

from stylegan_jax.bench import peer_process, peers
from stylegan_jax.bench.machine import Peaks
from stylegan_jax.bench.peer_client import MARKS, SCRIPT, PeerProcess
from stylegan_jax.bench.program_cost import Cost
from stylegan_jax.errors import UsageError, UserError

PEAKS = Peaks({"float32": 1e9}, {"float32": 1e9}, 1e9, 1e-9, {"float32": 1e9})
FACTS = {
    "python": "3.0",
    "torch": "2.0",
    "cuda": None,
    "threads": 2,
    "g_parameters": 1_000_000,
    "d_parameters": 2_000_000,
}


@pytest.fixture
def checkout(tmp_path):
    for mark in (mark for marks in MARKS.values() for mark in marks):
        file = tmp_path / "checkout" / mark
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch() if mark.endswith(".py") else file.mkdir(exist_ok=True)
    return str(tmp_path / "checkout")


@pytest.fixture
def python(tmp_path):
    """Makes a program that answers requests as the lines of its code say."""

    def make(code):
        file = tmp_path / "python"
        lines = f"#!{sys.executable}\nimport json, os, sys\n{textwrap.dedent(code)}"
        file.write_text(lines)
        file.chmod(0o755)
        return str(file)

    return make


ANSWERS = f"""
settings = json.loads(sys.stdin.readline())
print(json.dumps({{"ready": {{**{FACTS}, "asked": settings, "cwd": os.getcwd()}}}}))
sys.stdout.flush()
for line in sys.stdin:
    phase = json.loads(line)
    answer = {{"error": "out of memory"}} if phase == "bad" else {{"seconds": 2.0}}
    print(json.dumps(answer), flush=True)
"""


def settings(checkout, **values):
    return {
        "peer": "rosinality",
        "checkout": checkout,
        "resolution": 8,
        "batch": 4,
        "channel_base": 16384,
        "dtype": "float32",
        "threads": 0,
        "device": "cpu",
        **values,
    }


def test_phases_are_asked_of_the_other_process(python, checkout):
    with PeerProcess(python(ANSWERS), settings(checkout)) as peer:
        assert peer.facts["asked"]["checkout"] == os.path.realpath(checkout)
        assert peer.seconds("g_main") == 2.0
        folder = peer.facts["cwd"]
        assert folder != os.getcwd() and os.path.isdir(folder)
        with pytest.raises(UserError, match="rosinality failed: out of memory; check"):
            peer.seconds("bad")
    assert not os.path.exists(folder)


def test_a_process_that_ends_says_its_last_words(python, checkout):
    code = 'sys.exit("cannot find libcuda")'
    with pytest.raises(UserError, match="rosinality ended: cannot find libcuda"):
        PeerProcess(python(code), settings(checkout))


def test_a_python_without_torch_is_told(checkout, tmp_path):
    # In a folder of its own: a Python without any packages.
    with pytest.raises(UserError, match="rosinality failed: .*torch") as caught:
        PeerProcess(sys.executable, settings(checkout))
    assert "--python has PyTorch" in str(caught.value)


def test_wrong_folders_and_programs_are_refused(checkout, tmp_path):
    with pytest.raises(UserError, match="has no model.py: give a checkout"):
        PeerProcess("python", settings(str(tmp_path)))
    with pytest.raises(UserError, match="--python nowhere/python is no program"):
        PeerProcess("nowhere/python", settings(checkout))


def test_the_script_imports_nothing_of_ours():
    text = SCRIPT.read_text()
    assert "import stylegan_jax" not in text and "from stylegan_jax" not in text


def test_the_script_answers_and_tells_errors(monkeypatch):
    peer = types.SimpleNamespace(device=types.SimpleNamespace(type="cpu"))
    peer.g_main = lambda: None
    monkeypatch.setattr(peer_process, "open_peer", lambda settings: peer)
    monkeypatch.setattr(peer_process, "describe", lambda peer: {"torch": "2"})
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    answers = io.StringIO()
    with pytest.raises(AttributeError):
        peer_process.serve(io.StringIO('{}\n"g_main"\n"nothing"\n'), answers)
    ready, first, error = map(json.loads, answers.getvalue().splitlines())
    assert ready == {"ready": {"torch": "2"}} and first["seconds"] >= 0
    assert error["error"].startswith("AttributeError: ")


class Ours:
    """Our side without anything compiled; its phases take no time that counts."""

    cost = Cost(8e9, "XLA", 1e9, 0)
    facts = {"g_parameters": 1_000_000, "d_parameters": 2_000_000}
    drawing = types.SimpleNamespace(cost=cost)
    steps = types.SimpleNamespace(
        intervals={"g_main": 1, "g_reg": 4, "d_main": 1, "d_reg": 16, "end": 1},
        costs=dict.fromkeys(peers.PHASES, cost),
    )

    def seconds(self, phase):
        assert phase in ("generate", *peers.PHASES)
        return 0.5


def test_both_sides_take_turns_and_ratios_are_told(python, checkout, monkeypatch):
    said = []
    ours = contextlib.nullcontext(Ours())
    monkeypatch.setattr(peers, "opened_ours", lambda *arguments: ours)
    report = peers.bench_peers(
        {"rosinality": checkout},
        python=python(ANSWERS),
        resolution=8,
        batch=4,
        widths="config-e",
        repeats=2,
        peaks=PEAKS,
        say=said.append,
    )
    rows = {row["name"]: row for row in report["rows"]}
    phases = ("generate", *peers.PHASES, "iteration")
    assert set(rows) == {f"{p} {s}" for p in phases for s in ("rosinality", "ours")}
    theirs, ours = rows["iteration rosinality"], rows["iteration ours"]
    # Two phases and the averages in every step, the others every 4 and 16.
    assert theirs["seconds"]["median"] == pytest.approx(2 * (3 + 1 / 4 + 1 / 16))
    assert ours["seconds"]["repeats"] == 2
    assert theirs["ratio"] == 4.0 and theirs["ratio_range"] == [4.0, 4.0]
    # 8 GFLOP at 1 GFLOP/s, for as many phases as a mean step has.
    assert report["figures"]["iteration"]["tap_floor_seconds"] == pytest.approx(26.5)
    assert report["figures"]["generate"]["images_per_second"] == 8.0
    text = peers.describe(report)
    assert max(map(len, text)) <= 100
    assert any(
        line.endswith("D 2.00 M parameters, torch 2.0, 2 threads") for line in text
    )
    assert any(line.startswith("2 of 2: d_reg: rosinality 2 s, ours") for line in said)


def test_our_step_is_that_of_the_peers():
    config = peers.our_config(64, 8, 32768, "float32")
    assert config.model.mapping_layers == peer_process.MAPPING_LAYERS
    assert config.loss.g_reg_interval == peer_process.G_INTERVAL
    assert config.loss.d_reg_interval == peer_process.D_INTERVAL
    assert config.loss.r1_gamma == peer_process.R1_GAMMA
    assert config.loss.pl_weight == peer_process.PL_WEIGHT
    assert config.loss.pl_batch_shrink == peer_process.PL_SHRINK
    assert config.loss.style_mixing_prob == peer_process.MIXING
    assert config.train.batch == 8 and config.model.channel_base == 32768


def test_without_all_phases_there_is_no_iteration(python, checkout, monkeypatch):
    ours = Ours()
    ours.steps = None
    fake = contextlib.nullcontext(ours)
    monkeypatch.setattr(peers, "opened_ours", lambda *arguments: fake)
    report = peers.bench_peers(
        {"rosinality": checkout},
        python=python(ANSWERS),
        phases=["generate"],
        repeats=1,
        peaks=PEAKS,
    )
    assert [row["phase"] for row in report["rows"]] == ["generate"] * 2
    assert set(report["figures"]) == {"generate"}
    assert "iteration" not in "\n".join(peers.describe(report))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"checkouts": {}}, "nothing to compare with: give --rosinality"),
        ({"resolution": 48}, "--resolution 48 must be a power of two"),
        ({"batch": 6}, "--batch 6 must be 2 or a multiple of 4"),
        ({"widths": "config-a"}, "--widths config-a is unknown"),
        ({"dtype": "float16"}, "rosinality's networks compute in float32 only"),
        ({"phases": ["r1"]}, "--phases has r1: choose from generate"),
    ],
)
def test_wrong_options_are_refused(options, said):
    given = {"checkouts": {"rosinality": "x"}, **options}
    with pytest.raises(UsageError, match=said):
        peers.bench_peers(given.pop("checkouts"), python="python", **given)
