"""Mistakes that a person can mend, each told in one sentence."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake the user can mend: says what is wrong, where, and what to do.

    The command line prints its text alone, without a traceback, and exits with 1.
    """

    exit_code = 1


class UsageError(UserError):
    """A wrong command line or config value; the command line exits with 2."""

    exit_code = 2


class MissingExtra(UserError, ImportError):
    """An optional package is absent; names the extra that installs it.

    Args:
        package: the importable name that was not found, e.g. ``"dlib"``.
        extra: the extra of this package that brings it, e.g. ``"faces"``.
        why: what needs it, as the subject of a sentence, e.g. ``"Face alignment"``.
    """

    def __init__(self, package: str, extra: str, why: str):
        super().__init__(
            f"{why} needs the package '{package}', which is not installed: "
            f"run pip install 'stylegan_jax[{extra}]'."
        )


def printable(text: object) -> str:
    """Text with control characters written out, so that no name forges a line."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text)
    )
