"""`bench data`: whether decoding keeps up with training."""

from __future__ import annotations

import time
from typing import Any

from stylegan_jax.bench import report as reports
from stylegan_jax.bench.report import Report, Say
from stylegan_jax.bench.timing import timing_of
from stylegan_jax.data.mixture import open_mixture
from stylegan_jax.data.pipeline import BatchIterator, make_stream
from stylegan_jax.training.pictures import available, parse_path, parse_resolution

FIRST, LATER = "first look", "later"
_WINDOW = 0.1
# Of fewer batches, those that were read ahead before the clock began are too many.
_ENOUGH = 20


def bench_data(
    path: str,
    *,
    resolution: str | int | None = None,
    batch: int = 32,
    workers: int = 0,
    seconds: float = 10.0,
    rate: float | None = None,
    say: Say = reports.silent,
) -> Report:
    """Measures the training input pipeline: reading, decoding, batching.

    Pictures are converted to the resolution first, as training does, which does not
    count. The first look at each picture decodes it; sets below 1 GiB are kept decoded
    in memory afterwards, so the two are measured apart.

    Args:
        path: a folder, zip, ArrayRecord file, ``tfds:NAME``, or a weighted list.
        resolution: as ``data.resolution``; None for the pictures' own.
        batch: images in a batch.
        workers: processes that decode; 0 for threads.
        seconds: about how long each of the two is measured.
        rate: images/s that training takes, which the pipeline should exceed.
        say: called with a line of text as the work goes on.

    Raises:
        UserError: unusable pictures, or fewer than a batch.
    """
    say("opening, and converting where the size is another")
    data = open_mixture(parse_path(path), resolution=parse_resolution(resolution))
    num = available(data)
    rows = []
    with make_stream(data, batch=batch, seed=0, workers=workers) as stream:
        say("reading, while threads or processes start")
        next(stream)
        say("reading")
        rows.append(_row(FIRST, stream, batch, seconds, until=num))
        if stream.position + batch > num:
            while stream.position < num:
                next(stream)
            say("reading what was read before")
            rows.append(_row(LATER, stream, batch, seconds, until=None))
    slowest = min(float(row["images_per_second"]) for row in rows)
    figures = {
        "images_per_second": slowest,
        "rate": rate,
        "keeps_up": None if rate is None else slowest >= rate,
    }
    settings = {
        "source": path,
        "size": list(data[0][0].image_shape),
        "pictures": num,
        "batch": batch,
        "workers": workers,
    }
    return reports.make_report("data", settings, None, figures, rows)


def _row(
    name: str, stream: BatchIterator, batch: int, seconds: float, until: int | None
) -> dict[str, Any]:
    """Reads on and says how fast.

    Args:
        name: of the row.
        stream: goes on where it is.
        batch: images in a batch.
        seconds: about how long to read.
        until: position not to pass; at least one batch is read.
    """
    # Windows of a tenth of a second: batches come in bursts, being read ahead.
    windows: list[float] = []
    count = total = 0
    began = last = time.perf_counter()
    while True:
        next(stream)
        count, total, now = count + 1, total + 1, time.perf_counter()
        done = until is not None and stream.position + batch > until
        done |= now - began >= seconds
        if done or now - last >= _WINDOW:
            windows.append((now - last) / count)
            last, count = now, 0
        if done:
            return {
                "name": name,
                "images_per_second": batch * total / (now - began),
                "batches": total,
                "seconds": timing_of(windows).to_json(),
            }


def describe(report: Report) -> list[str]:
    """Writes a report for people."""
    settings, figures = report["settings"], report["figures"]
    height, width, _ = settings["size"]
    workers = settings["workers"]
    by = f"{workers} processes" if workers else "threads"
    lines = [
        *reports.heading(report),
        f"{settings['source']}: {settings['pictures']} pictures of {height}x{width}, "
        f"batch {settings['batch']}, decoded by {by}",
        "",
        *reports.table(report["rows"], COLUMNS),
    ]
    for row in report["rows"]:
        if row["batches"] < _ENOUGH:
            lines.append(
                f"{row['name']}: {row['batches']} batches are few, and some were read "
                "ahead: take a smaller --batch or longer --seconds"
            )
    if figures["rate"] is not None:
        share = figures["images_per_second"] / figures["rate"]
        word = "keeps up with" if figures["keeps_up"] else "is too slow for"
        lines += ["", f"{word} {figures['rate']:g} images/s: {share:.2f} times that"]
    return lines


def _rate(row: Any) -> str:
    return reports.number_text(row["images_per_second"])


COLUMNS: tuple[reports.Column, ...] = (
    ("pictures", lambda row: row["name"]),
    ("images/s", _rate),
    ("batch", lambda row: reports.seconds_text(row["seconds"]["median"])),
    ("batches", lambda row: str(row["batches"])),
    reports.SPREAD,
)
