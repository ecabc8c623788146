"""What a page of a package index says: the files of a package and their digests."""

from __future__ import annotations

import dataclasses
import html.parser
import json
import urllib.parse


@dataclasses.dataclass(frozen=True)
class Link:
    """A file on the index.

    Attributes:
        url: where it lies.
        hashes: its digests by algorithm, as the index states them.
    """

    url: str
    hashes: dict[str, str]


def read_page(text: str, kind: str, base: str) -> dict[str, Link]:
    """Reads the page of a package in either form of the "simple" API.

    Args:
        text: the page.
        kind: its media type; one that ends in ``json`` is PEP 691's, others PEP 503's.
        base: the address it came from, which its links may be relative to.

    Returns:
        Its files by name. Links that are no files, or not to be followed (a web page
        names no files of this machine), are left out.

    Raises:
        ValueError: it is JSON and not of that form.
    """
    return _of_json(text, base) if kind.endswith("json") else _of_html(text, base)


class _Anchors(html.parser.HTMLParser):
    """Collects the targets of a page's links, and its base if it names one."""

    def __init__(self) -> None:
        super().__init__()
        self.base: str | None = None
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href")
        if target and tag == "a":
            self.targets.append(target)
        elif target and tag == "base" and self.base is None:
            self.base = target


def _of_html(text: str, base: str) -> dict[str, Link]:
    """The files of a PEP 503 page by name; a digest is an address's fragment."""
    page = _Anchors()
    page.feed(text)
    base = urllib.parse.urljoin(base, page.base) if page.base else base
    found = {}
    for target in page.targets:
        try:
            url, _, fragment = urllib.parse.urljoin(base, target).partition("#")
            followed = _followed(url, base)
        except ValueError:
            continue  # no address, so no file either
        algorithm, _, digest = fragment.partition("=")
        if followed:
            found[_file_name(url)] = Link(url, {algorithm: digest} if digest else {})
    return found


def _of_json(text: str, base: str) -> dict[str, Link]:
    """The files of a PEP 691 answer by name."""
    try:
        files = json.loads(text)["files"]
        links = {
            str(file["filename"]): Link(
                urllib.parse.urljoin(base, file["url"]),
                {str(k): str(v) for k, v in file.get("hashes", {}).items()},
            )
            for file in files
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("its page is not that of a package index") from error
    return {name: link for name, link in links.items() if _followed(link.url, base)}


def _followed(url: str, base: str) -> bool:
    """Whether a link of a page may be opened: a web page names no local files."""
    scheme = urllib.parse.urlsplit(url).scheme
    local = urllib.parse.urlsplit(base).scheme == "file"
    return scheme in ("http", "https") or (scheme == "file" and local)


def _file_name(url: str) -> str:
    path = urllib.parse.urlsplit(url).path
    return urllib.parse.unquote(path.rpartition("/")[2])
