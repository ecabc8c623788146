"""Which pages a process takes from the system."""

import os
import subprocess
import sys

import pytest

from stylegan_jax.cli import host_memory
from stylegan_jax.cli import main as main_module

PROGRAM = """
import resource
import jax, jax.numpy as jnp
x, step = jnp.zeros(2**24), jax.jit(lambda x: x + 1.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step(x).block_until_ready()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.fixture
def on_a_cpu(monkeypatch, tmp_path):
    """A CPU's process on a kernel that gives huge pages, whose user has set nothing."""
    for name in ("GLIBC_TUNABLES", "LD_PRELOAD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    setting = tmp_path / "enabled"
    setting.write_text("always [madvise] never\n")
    monkeypatch.setattr(host_memory, "_KERNEL_SETTING", setting)
    monkeypatch.setattr(host_memory.sys, "platform", "linux")
    monkeypatch.setattr(os, "confstr", lambda name: "glibc 2.35", raising=False)
    monkeypatch.setattr(sys, "argv", [str(host_memory._MODULE), "generate", "a"])
    words = [sys.executable, "-m", "stylegan_jax", "generate", "a"]
    monkeypatch.setattr(sys, "orig_argv", words)
    return monkeypatch


@pytest.mark.skipif(
    not host_memory.huge_pages_pay(),
    reason="needs a Linux that gives huge pages to who asks, glibc 2.35, no GPU",
)
def test_results_of_64_mib_come_in_huge_pages():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | host_memory.HUGE_PAGES,
    )
    assert done.returncode == 0, done.stderr
    # Ten results are 163 840 small pages.
    assert int(done.stdout) < 40_000


def test_the_same_words_start_once_more(on_a_cpu):
    started = []
    on_a_cpu.setattr(os, "execve", lambda *call: started.append(call))
    host_memory.start_again_with_huge_pages()
    ((program, words, environment),) = started
    assert (program, words) == (sys.executable, sys.orig_argv)
    assert environment == os.environ | {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    on_a_cpu.setenv("GLIBC_TUNABLES", environment["GLIBC_TUNABLES"])
    host_memory.start_again_with_huge_pages()
    assert len(started) == 1


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("-c", ["-c", "…", "generate", "a"]),
        ("-", ["-", "generate", "a"]),
        ("ipykernel_launcher.py", ["-m", "ipykernel_launcher", "-f", "kernel.json"]),
        ("/nowhere/stylegan-jax", ["/nowhere/stylegan-jax", "generate", "a"]),
        (str(host_memory._MODULE), ["-m", "stylegan_jax", "generate", "b"]),
    ],
)
def test_a_program_that_calls_the_command_line_is_not_started_again(
    on_a_cpu, program, words
):
    on_a_cpu.setattr(os, "execve", None)  # a call would fail
    on_a_cpu.setattr(sys, "argv", [program, "generate", "a"])
    on_a_cpu.setattr(sys, "orig_argv", [sys.executable, *words])
    host_memory.start_again_with_huge_pages()


def test_a_program_from_a_pipe_still_runs():
    code = "from stylegan_jax.cli.main import main; print('once'); main(['--version'])"
    done = subprocess.run(
        [sys.executable, "-"], input=code, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.count("once") == 1 and "version" in done.stdout


def test_a_system_that_refuses_costs_speed_alone(on_a_cpu, tmp_path):
    def refuse(*call):
        raise PermissionError

    on_a_cpu.setattr(os, "execve", refuse)
    on_a_cpu.setattr(sys, "stdout", None)
    host_memory.start_again_with_huge_pages()
    on_a_cpu.setattr(host_memory, "_KERNEL_SETTING", tmp_path)  # not to be read
    assert not host_memory.huge_pages_pay()


@pytest.mark.parametrize("name", ["GLIBC_TUNABLES", "LD_PRELOAD"])
def test_the_users_own_allocator_is_left_alone(on_a_cpu, name):
    assert host_memory.huge_pages_pay()
    on_a_cpu.setenv(name, "something")
    assert not host_memory.huge_pages_pay()


@pytest.mark.parametrize(
    ("platforms", "plugins", "pays"),
    [
        ("cpu", True, True),
        ("cuda,cpu", False, False),
        ("", True, False),
        ("", False, True),
    ],
)
def test_hosts_of_accelerators_are_left_alone(on_a_cpu, platforms, plugins, pays):
    on_a_cpu.setattr(
        host_memory.importlib.util, "find_spec", lambda name: plugins or None
    )
    on_a_cpu.setenv("JAX_PLATFORMS", platforms)
    assert host_memory.huge_pages_pay() == pays


@pytest.mark.parametrize("name", ["glibc 2.31", "glibc 3.0", "musl", None, ValueError])
def test_only_a_glibc_that_can_ask_is_asked(on_a_cpu, name):
    def confstr(_):
        if name is ValueError:
            raise ValueError
        return name

    on_a_cpu.setattr(os, "confstr", confstr, raising=False)
    assert host_memory.huge_pages_pay() == (name == "glibc 3.0")


@pytest.mark.parametrize(
    "setting", ["[always] madvise never", "always madvise [never]", None]
)
def test_only_a_kernel_that_waits_to_be_asked_is_asked(on_a_cpu, setting):
    if setting is None:
        host_memory._KERNEL_SETTING.unlink()
    else:
        host_memory._KERNEL_SETTING.write_text(setting)
    assert not host_memory.huge_pages_pay()


def test_other_systems_are_left_alone(on_a_cpu):
    on_a_cpu.setattr(host_memory.sys, "platform", "darwin")
    assert not host_memory.huge_pages_pay()


def test_only_the_command_itself_starts_again(monkeypatch):
    asked = []
    monkeypatch.setattr(
        main_module, "start_again_with_huge_pages", lambda: asked.append(True)
    )
    with pytest.raises(SystemExit):
        main_module.main(["--version"])
    assert not asked
    monkeypatch.setattr(sys, "argv", ["stylegan-jax", "--version"])
    with pytest.raises(SystemExit):
        main_module.main()
    assert asked
