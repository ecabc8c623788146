"""One report over a whole dataset: every offending picture, what `prepare` mends."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter, defaultdict
from typing import Any, NamedTuple

from stylegan_jax.data import images, labels, sources
from stylegan_jax.data.parallel import Progress, ordered_map
from stylegan_jax.errors import UserError

# kind: (heading, "broken" | "mendable" | "note"). Broken pictures cannot be used,
# mendable ones are put right by `data prepare`, notes need nothing.
KINDS: dict[str, tuple[str, str]] = {
    "dataset": ("the dataset itself", "broken"),
    "empty": ("empty files", "broken"),
    "truncated": ("truncated pictures", "broken"),
    "not_a_picture": ("files that are not pictures", "broken"),
    "bomb": ("decompression bombs", "broken"),
    "unreadable": ("unreadable pictures", "broken"),
    "size": ("pictures of another size", "mendable"),
    "small": ("pictures smaller than the resolution, to be upscaled", "mendable"),
    "grey": ("grey pictures among colour", "mendable"),
    "palette": ("palette pictures", "mendable"),
    "alpha": ("pictures with an alpha channel", "mendable"),
    "cmyk": ("CMYK pictures", "mendable"),
    "deep": ("16-bit pictures", "mendable"),
    "mode": ("pictures of another colour mode", "mendable"),
    "turned": ("pictures turned by EXIF", "mendable"),
    "animated": ("animations, of which the first frame is used", "mendable"),
    "label": ("pictures and labels that do not match", "note"),
    "duplicate": ("exact duplicates", "note"),
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """One offence of one picture.

    Attributes:
        path: the picture's name in the dataset; empty for the dataset itself.
        kind: a key of `KINDS`.
        message: what is wrong, as a clause.
    """

    path: str
    kind: str
    message: str

    @property
    def severity(self) -> str:
        """``broken``, ``mendable`` or ``note``."""
        return KINDS[self.kind][1]


@dataclasses.dataclass(frozen=True)
class Report:
    """What `check` found.

    Attributes:
        source: the dataset's path.
        num_pictures: pictures seen, broken ones included.
        sizes: "HEIGHTxWIDTH" (upright) to number of pictures.
        modes: Pillow mode to number of pictures.
        problems: everything found, in the order of the pictures.
    """

    source: str
    num_pictures: int
    sizes: dict[str, int]
    modes: dict[str, int]
    problems: list[Problem]

    @property
    def ok(self) -> bool:
        """Whether nothing is broken: training or `data prepare` can take it."""
        return not self.broken

    @property
    def broken(self) -> list[Problem]:
        """Problems that `data prepare` cannot mend."""
        return [p for p in self.problems if p.severity == "broken"]

    @property
    def mendable(self) -> list[Problem]:
        """Problems that `data prepare` mends."""
        return [p for p in self.problems if p.severity == "mendable"]

    def to_json(self) -> dict[str, Any]:
        """Returns plain dicts and lists for `json.dumps`."""
        return {
            "source": self.source,
            "ok": self.ok,
            "num_pictures": self.num_pictures,
            "num_broken": len({p.path for p in self.broken if p.path}),
            "num_dataset_problems": sum(p.kind == "dataset" for p in self.problems),
            "num_mendable": len({p.path for p in self.mendable}),
            "sizes": self.sizes,
            "modes": self.modes,
            "problems": [
                {**dataclasses.asdict(p), "severity": p.severity} for p in self.problems
            ],
        }

    def text(self, *, limit: int | None = 10) -> str:
        """Formats the report for people, grouped by problem with counts.

        Args:
            limit: pictures listed per mendable problem or note; None lists all.
                Broken pictures are always all listed.
        """
        lines = [
            f"{self.source}: {self.num_pictures} pictures; sizes "
            f"(height x width) {_counts(self.sizes)}; modes {_counts(self.modes)}"
        ]
        groups: dict[str, list[Problem]] = defaultdict(list)
        for problem in self.problems:
            groups[problem.kind].append(problem)
        marks = {"broken": "BROKEN", "mendable": "prepare mends", "note": "note"}
        for kind, (title, severity) in KINDS.items():
            found = groups[kind]
            if not found:
                continue
            lines.append(f"\n{marks[severity]}: {len(found)} x {title}")
            shown = found if severity == "broken" else found[:limit]
            lines += [f"  {p.path or self.source}: {p.message}" for p in shown]
            if len(shown) < len(found):
                lines.append(f"  ... and {len(found) - len(shown)} more")
        lines.append("\n" + self._verdict())
        return "\n".join(lines)

    def _verdict(self) -> str:
        if self.broken:
            return (
                f"{len(self.broken)} problem(s) must be mended by hand; `data prepare "
                "--skip-broken` leaves broken pictures out."
            )
        if self.mendable:
            count = len({p.path for p in self.mendable})
            return (
                f"Usable; `data prepare` (or train) converts {count} of the pictures."
            )
        return "Nothing to mend."


class _Seen(NamedTuple):
    """What one worker learns of one picture."""

    header: images.Header | None
    digest: bytes | None
    problem: Problem | None


def check(
    path: str,
    *,
    resolution: int | tuple[int, int] | None = None,
    batch: int | None = None,
    channels: int = 3,
    workers: int | None = None,
    progress: Progress = False,
) -> Report:
    """Looks at every picture of a dataset and lists all that is wrong.

    Sizes are read from headers first; pixels of bombs are never decoded. Every other
    picture is decoded fully, so that nothing can fail later in training.

    Args:
        path: whatever `sources.open_source` takes.
        resolution: side, or (height, width), that pictures should have; without it
            the most frequent size is taken as the rule.
        batch: the batch to train with; a dataset with fewer pictures is an offence.
        channels: 1, 3 or 4, as the pictures will be read.
        workers: threads; None means one per core.
        progress: False, True (bar on a terminal), or called with (done, total).

    Returns:
        A report; never raises for what the dataset contains.

    Raises:
        UserError: there is no dataset at ``path``.
    """
    source = sources.open_source(path)
    images.check_channels(channels)
    looks = ordered_map(
        lambda index: look(source, index, channels),
        len(source),
        workers=workers,
        progress=progress,
        label="checking",
    )
    seen = list(looks)
    shape = (resolution, resolution) if isinstance(resolution, int) else resolution
    sizes = Counter(f"{h.height}x{h.width}" for h, _, _ in seen if h)
    modes = Counter(h.mode for h, _, _ in seen if h)
    problems = _dataset_problems(source, batch)
    first_with: dict[bytes, str] = {}
    for name, (header, digest, problem) in zip(source.names, seen, strict=True):
        if problem:
            problems.append(problem)
        if header:
            problems += _header_problems(name, header, sizes, modes, shape, channels)
        if digest is not None and first_with.setdefault(digest, name) != name:
            twin = first_with[digest]
            problems.append(Problem(name, "duplicate", f"same bytes as {twin}"))
    return Report(
        str(path),
        len(source),
        dict(sizes.most_common()),
        dict(modes.most_common()),
        problems,
    )


def look(source: sources.Source, index: int, channels: int) -> _Seen:
    """Reads and decodes one picture and keeps only what the report needs."""
    name = source.names[index]
    header = digest = None
    try:
        data = source.read(index)
        digest = hashlib.blake2b(data, digest_size=16).digest()
        header = images.read_header(data, name)
        images.decode(data, name, channels=channels)
    except images.BrokenPicture as error:
        return _Seen(None, digest, Problem(name, error.kind, error.reason))
    return _Seen(header, digest, None)


def refusal(source: str, problems: list[Problem]) -> UserError:
    """Makes the sentence that lists every broken picture."""
    listed = "\n".join(f"  {p.path}: {p.message}" for p in problems)
    return UserError(
        f"{source}: {len(problems)} pictures cannot be used; remove or replace them, or"
        " leave them out with --skip-broken (in train --config.data.skip_broken=true, "
        f"in Python skip_broken=True):\n{listed}"
    )


def _counts(counted: dict[str, int], most: int = 5) -> str:
    """Formats e.g. ``"64x64 (10), 32x32 (1)"``."""
    said = [f"{key} ({count})" for key, count in list(counted.items())[:most]]
    if len(counted) > most:
        said.append(f"and {len(counted) - most} more")
    return ", ".join(said) or "none"


def too_few(where: str, num: int, batch: int) -> str:
    """Says that a dataset has fewer pictures than a batch."""
    return (
        f"{where} has {num} pictures, fewer than the batch of {batch}: add pictures or "
        "lower the batch (train.batch)"
    )


def _dataset_problems(source: sources.Source, batch: int | None) -> list[Problem]:
    problems = []
    if not len(source):
        problems.append(Problem("", "dataset", "no pictures found"))
    elif batch is not None and len(source) < batch:
        said = too_few("it", len(source), batch)
        problems.append(Problem("", "dataset", said))
    try:
        found = labels.parse_labels(
            source.document(), f"{source.path}/{sources.LABEL_FILE}"
        )
    except UserError as error:
        problems.append(Problem("", "dataset", str(error).rstrip(".")))
        return problems
    if found:
        problems += [
            Problem(name, "label", "has a label in dataset.json, but is missing")
            for name in sorted(found.keys() - set(source.names))
        ]
        problems += [
            Problem(name, "label", "has no label in dataset.json")
            for name in source.names
            if name not in found
        ]
    return problems


def _header_problems(
    name: str,
    header: images.Header,
    sizes: Counter[str],
    modes: Counter[str],
    shape: tuple[int, int] | None,
    channels: int,
) -> list[Problem]:
    """Lists what `prepare` would mend in a picture that decodes."""
    found = []
    width, height = header.width, header.height
    usual = sizes.most_common(1)[0][0]
    if shape is None:
        if f"{height}x{width}" != usual:
            found.append(("size", f"{height}x{width}, most are {usual}"))
    elif (height, width) != shape:
        left, top, right, bottom = images.crop_box((width, height), shape)
        kind = "small" if right - left < shape[1] else "size"
        found.append((kind, f"{height}x{width}, wanted {shape[0]}x{shape[1]}"))
    if header.deep:
        found.append(("deep", "16 bits per channel, will be scaled to 8"))
    if header.mode in ("P", "PA"):
        found.append(("palette", f"mode {header.mode}"))
    elif header.mode == "CMYK":
        found.append(("cmyk", "mode CMYK, a print format"))
    elif header.mode in ("1", "L", "LA", "I;16") and channels != 1:
        if not header.deep and modes["RGB"] + modes["RGBA"]:
            found.append(("grey", f"mode {header.mode}"))
    elif header.mode not in ("RGB", "RGBA", "RGBa", "L", "LA", "1", "La") and (
        not header.deep
    ):
        found.append(("mode", f"mode {header.mode}"))
    if header.alpha and channels != 4:
        found.append(("alpha", "transparent parts become white"))
    if header.turned:
        found.append(("turned", "EXIF says rotated or mirrored"))
    if header.animated:
        found.append(("animated", "several frames"))
    return [Problem(name, kind, message) for kind, message in found]
