"""What pip was told about its index on this machine."""

from __future__ import annotations

import configparser
import os
import sys
from pathlib import Path


def pip_settings() -> dict[str, str]:
    """The ``[global]`` section of pip's configuration files; the later file wins.

    Returns:
        Settings by pip's own names, e.g. ``index-url``; values as they stand.
    """
    settings: dict[str, str] = {}
    for file in _pip_files():
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError):
            continue  # pip itself tells its user that a file of its own is damaged
        if parser.has_section("global"):
            pairs = parser.items("global")
            settings.update((key.replace("_", "-"), value) for key, value in pairs)
    return settings


def _pip_files() -> list[Path]:
    """The configuration files in pip's order: the machine's, the user's, this venv's.

    ``PIP_CONFIG_FILE`` comes last; set to the null device, it turns all of them off.
    """
    chosen = os.environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [
        *(Path(folder) / "pip" / "pip.conf" for folder in _machine_folders()),
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        config / "pip" / "pip.conf",
        Path(sys.prefix) / "pip.conf",
    ]
    return [*files, Path(chosen)] if chosen else files


def _machine_folders() -> list[str]:
    return (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
