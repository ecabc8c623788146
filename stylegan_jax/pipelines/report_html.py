"""The small parts that ``report.html`` is put together from."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stylegan_jax.errors import UserError

MAX_SIDE = 1024
SMALL_SIDE = 400


def paragraphs(text: str) -> str:
    """Plain text as paragraphs, which are apart by blank lines."""
    return "".join(
        f"<p>{html.escape(part.strip())}</p>"
        for part in text.split("\n\n")
        if part.strip()
    )


def headline(value: str, caption: str) -> str:
    """One figure that is larger than all others, with what it says."""
    return f'<p class="headline"><b>{html.escape(value)}</b> {html.escape(caption)}</p>'


def tile_row(tiles: Mapping[str, str]) -> str:
    """Figures in a row: caption → value; empty without any."""
    cells = "".join(
        f"<div><b>{html.escape(value)}</b><span>{html.escape(caption)}</span></div>"
        for caption, value in tiles.items()
    )
    return f'<div class="tiles">{cells}</div>' if cells else ""


def table(rows: Mapping[str, Any]) -> str:
    """Rows of name and value."""
    return (
        "<table>"
        + "".join(
            f"<tr><th>{html.escape(str(k))}</th><td>{html.escape(str(v))}</td></tr>"
            for k, v in rows.items()
        )
        + "</table>"
    )


def figures(pairs: Sequence[tuple[Path, str]]) -> str:
    """Pictures with captions, side by side where the page is wide enough.

    A large one that is alone keeps its own size: a sheet with lettering stays sharp.

    Raises:
        UserError: a picture cannot be read.
    """
    found = []
    for path, caption in pairs:
        source, side = embed(path)
        kind = "small" if side < SMALL_SIDE else "sheet" if len(pairs) == 1 else ""
        found.append(
            f'<figure class="card"><img src="{source}" alt="" class="{kind}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )
    return f'<div class="two">{"".join(found)}</div>' if found else ""


def commands(lines: Sequence[str]) -> str:
    """Command lines as a person would type them; empty without any."""
    if not lines:
        return ""
    shown = "\n".join(html.escape(line) for line in lines)
    return f'<h3>Typed by hand</h3><pre class="wrap">{shown}</pre>'


def steps(items: Sequence[tuple[str, str]]) -> str:
    """A numbered list of sentences, each with command lines or ""."""
    found = "".join(
        f"<li>{html.escape(text)}"
        + (f"<pre>{html.escape(command)}</pre>" if command else "")
        + "</li>"
        for text, command in items
    )
    return f"<ol>{found}</ol>" if found else ""


def embed(path: Path) -> tuple[str, int]:
    """A picture as a data URL, made smaller where it is huge, and its longer side.

    Raises:
        UserError: it cannot be read.
    """
    from PIL import Image

    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            side, kind = max(image.size), (image.format or "PNG").lower()
            if side > MAX_SIDE:
                image.thumbnail((MAX_SIDE, MAX_SIDE))
                stream = io.BytesIO()
                image.save(stream, format="PNG")
                data, side, kind = stream.getvalue(), MAX_SIDE, "png"
    except OSError as error:
        raise UserError(
            f"cannot put the picture {path} into a report ({error}): delete it or "
            "write it again."
        ) from error
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}", side
