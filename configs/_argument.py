"""What may stand behind a configuration's colon."""

from collections.abc import Callable

from ml_collections import ConfigDict


def apply(config: ConfigDict, arg: str, shrink: Callable[[ConfigDict], None]) -> None:
    """Applies a configuration's argument: "" or "smoke".

    Args:
        config: is changed.
        arg: "" or "smoke".
        shrink: makes a configuration small, for "smoke".

    Raises:
        ValueError: for any other argument.
    """
    if arg == "smoke":
        shrink(config)
    elif arg:
        raise ValueError(f"unknown argument '{arg}', choose 'smoke' or nothing")
