"""Pictures of one shape on disk: those that have it, and a cache of converted ones."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stylegan_jax.data import check, images, prepare, sources
from stylegan_jax.data.parallel import Progress, ordered_map
from stylegan_jax.errors import UserError

_log = logging.getLogger(__name__)


def default_cache() -> Path:
    """Where converted datasets are kept unless a run says otherwise."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "stylegan_jax" / "data"


def ready_source(
    source: sources.Source,
    fingerprint: str,
    wanted: tuple[int, int] | None,
    channels: int,
    cache: Path,
    skip_broken: bool,
    progress: Progress,
) -> tuple[sources.Source, tuple[int, int]]:
    """Finds, or makes, a source whose pictures all have one shape.

    Args:
        source: any pictures.
        fingerprint: the source's.
        wanted: (height, width); None for the pictures' own, the same for all.
        channels: 1, 3 or 4.
        cache: folder of converted datasets.
        skip_broken: leave broken pictures out instead of refusing.
        progress: False, True (bar on a terminal), or called with (done, total).

    Returns:
        The source itself or a converted one, and its pictures' (height, width).

    Raises:
        UserError: broken pictures, mixed sizes without ``wanted``, no place to write.
    """
    own = prepare.vouched_shape(source)
    if own and own[2] == channels and wanted in (None, own[:2]):
        return source, own[:2]
    # Nobody vouches for these pictures: they are looked at once, and what was found
    # is remembered, so that a large foreign zip is not decoded at every start.
    said = f"{fingerprint} {source.stamp()} {channels}"
    key = hashlib.sha256(said.encode()).hexdigest()[:16]
    verdict = cache / f"{_safe(source.name)}-{key}.checked.json"
    with contextlib.suppress(OSError, ValueError):
        height, width = json.loads(verdict.read_text())["shape"]
        if wanted in (None, (height, width)):
            return source, (height, width)
    shape = wanted or _own_shape(source)
    if source.kind != "tfds" and _all_fit(source, shape, channels, progress):
        with prepare.write_aside(verdict) as temporary:
            temporary.write_text(json.dumps({"shape": shape}))
        return source, shape
    return (
        _cached(source, fingerprint, shape, channels, cache, skip_broken, progress),
        shape,
    )


def _own_shape(source: sources.Source) -> tuple[int, int]:
    """Returns the (height, width) that all pictures share, by their headers."""
    sizes: Counter[tuple[int, int]] = Counter()
    for index, name in enumerate(source.names):
        # Broken pictures are reported, all together, by the conversion that follows.
        with contextlib.suppress(images.BrokenPicture):
            header = images.read_header(source.read(index), name)
            sizes[header.height, header.width] += 1
    if len(sizes) > 1:
        said = ", ".join(
            f"{height}x{width} ({count})"
            for (height, width), count in sizes.most_common(5)
        )
        raise UserError(
            f"{source.path} holds pictures of {len(sizes)} sizes (height x width), "
            f"most often {said}: say which resolution to use "
            "(--config.data.resolution=256)."
        )
    return next(iter(sizes), (1, 1))


def _all_fit(
    source: sources.Source,
    shape: tuple[int, int],
    channels: int,
    progress: Progress,
) -> bool:
    """Whether every picture decodes and needs no conversion; stops at the first no."""
    mode = images.MODES[channels]
    looks = ordered_map(
        lambda index: check.look(source, index, channels),
        len(source),
        progress=progress,
        label="checking",
    )
    with contextlib.closing(looks):
        for header, _, problem in looks:
            if problem or header is None or header.turned or header.deep:
                return False
            if (header.height, header.width) != shape or header.mode != mode:
                return False
            if header.alpha and channels != 4:
                return False
    return True


def _cached(
    source: sources.Source,
    fingerprint: str,
    shape: tuple[int, int],
    channels: int,
    cache: Path,
    skip_broken: bool,
    progress: Progress,
) -> sources.Source:
    """Converts ``source`` into the cache, or finds that it was converted before."""
    options = f"{shape} {channels} {prepare.VERSION} {skip_broken}"
    said = f"{fingerprint} {source.stamp()} {options}"
    key = hashlib.sha256(said.encode()).hexdigest()[:16]
    size = f"{shape[0]}x{shape[1]}x{channels}"
    file = cache / f"{_safe(source.name)}-{size}-{key}.zip"
    _make_cache(cache)
    with _locked(file.with_suffix(".lock")):
        if file.exists():
            try:
                found = sources.open_source(file)
                if found.provenance().get("source_fingerprint") == fingerprint:
                    return found
            except UserError:
                pass  # a damaged cache is made again
            file.unlink()
        # What a killed process left behind; nobody else writes under the lock.
        for leftover in cache.glob(f".{file.name}.*"):
            leftover.unlink()
        _log.info("converting %s to %s in %s", source.path, size, file)
        done = prepare.prepare(
            source.path,
            str(file),
            resolution=shape,
            channels=channels,
            skip_broken=skip_broken,
            progress=progress,
        )
    if done.upscaled:
        _log.warning(
            "%s: %d of %d pictures are smaller than %dx%d and were upscaled.",
            source.path, done.upscaled, done.num_images, *shape,
        )  # fmt: skip
    for problem in done.left_out:
        _log.warning("left out %s: %s", problem.path, problem.message)
    return sources.open_source(file)


def _make_cache(cache: Path) -> None:
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "choose another folder (--workdir)"
        if cache == default_cache():
            remedy = "set XDG_CACHE_HOME"
        raise UserError(
            f"the folder {cache} for converted pictures cannot be made "
            f"({error.strerror}): {remedy}, or prepare the pictures with `stylegan-jax "
            "data prepare`."
        ) from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lets one process at a time convert the same pictures.

    Where files cannot be locked (Windows, some network file systems) two processes do
    the same work, and the later rename wins with an equal file.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("w") as handle:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)[:40]
