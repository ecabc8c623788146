"""How large the pages are that a process takes from the system: on a CPU, huge ones.

XLA takes the results and the scratch of every call from the C library and gives them
back after it. glibc returns large blocks to the kernel at once, which clears each page
again when it is touched next. In pages of 4 KiB that costs operators that are bound by
memory several times what they do themselves; in pages of 2 MiB, little.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
from pathlib import Path

# Read when a program starts, and at no other time. glibc has it since 2.35.
HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
_SINCE = (2, 35)

# Who sets one of these has decided.
_USERS_OWN = ("GLIBC_TUNABLES", "LD_PRELOAD")
_ACCELERATORS = ("jax_plugins", "libtpu")
_MODULE = Path(__file__).parents[1] / "__main__.py"
_KERNEL_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def start_again_with_huge_pages() -> None:
    """Puts this same command in the process's place, with huge pages, where it pays.

    To be called first of all, since nothing of the process remains. Returns where the
    process is another's, which called the command line as a function; where
    `huge_pages_pay` is false, as it is the second time; and where the system refuses:
    then the command is slower and nothing else.
    """
    if not _is_the_command() or not huge_pages_pay():
        return
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    with contextlib.suppress(OSError):
        os.execve(sys.executable, sys.orig_argv, os.environ | HUGE_PAGES)


def huge_pages_pay() -> bool:
    """Whether memory should be asked for in huge pages, and is not yet.

    So it is on Linux where the kernel gives them to programs that ask (most
    distributions'), glibc can ask, and jax computes on a CPU. Not where the user has
    set glibc or another allocator by the environment.
    """
    if not sys.platform.startswith("linux") or any(map(os.environ.get, _USERS_OWN)):
        return False
    return _kernel_gives_them() and _glibc() >= _SINCE and _on_cpu()


def _is_the_command() -> bool:
    """Whether Python was started for the command line: its script, or ``python -m``."""
    program = Path(sys.argv[0])
    own = program.name == "stylegan-jax" or program == _MODULE
    words = sys.argv[1:]
    return own and program.is_file() and sys.orig_argv[-len(words) or None :] == words


def _kernel_gives_them() -> bool:
    # The setting in force is in brackets. With "always" nobody has to ask.
    try:
        return "[madvise]" in _KERNEL_SETTING.read_text()
    except OSError:
        return False  # a kernel without them, or a container that hides the setting


def _glibc() -> tuple[int, ...]:
    """Version of glibc; () where the C library is another one."""
    try:
        named = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return ()
    found = re.fullmatch(r"glibc (\d+)\.(\d+).*", named)
    return tuple(map(int, found.groups())) if found else ()


def _on_cpu() -> bool:
    platforms = os.environ.get("JAX_PLATFORMS")
    if platforms:
        return platforms.split(",")[0] == "cpu"
    return not any(importlib.util.find_spec(name) for name in _ACCELERATORS)
