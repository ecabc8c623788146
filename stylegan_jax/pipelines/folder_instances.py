"""Maps of instances beside the pairs of two folders.

A map of instances gives every pixel the number of the thing that it belongs to. Which
number is of no matter: pix2pixHD draws edges between different ones, and pools features
over equal ones. They are numbered anew, so that numbers such as 26003 (class 26, thing
3, as Cityscapes has them) fit into 8 bits.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stylegan_jax.data import images, label_maps, sources
from stylegan_jax.data import pair_manifest as manifest
from stylegan_jax.data.parallel import ordered_map
from stylegan_jax.data.records import write_arrayrecord
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.folder_matching import Match, alike, refusal, stems


def match_instances(
    maps: sources.Source,
    theirs: sources.Source,
    matches: Sequence[Match],
) -> list[int]:
    """Finds every pair's map and checks its size.

    Args:
        maps: maps of instances.
        theirs: pictures of side B.
        matches: the pairs.

    Returns:
        The places of the maps in their source.

    Raises:
        UserError: pairs without a map or with several, or maps that are damaged or have
            another aspect than their picture (all are listed).
    """
    named = stems(maps)
    lost = [match.stem for match in matches if len(named.get(match.stem, ())) != 1]
    if lost:
        listed = "\n".join(f"  {stem}" for stem in lost)
        raise UserError(
            f"{len(lost)} pairs do not have one map of instances in {maps.path}, whose "
            f"name without ending is theirs; add what is missing:\n{listed}"
        )
    places = [named[match.stem][0] for match in matches]

    def problem(i: int) -> str | None:
        name = maps.names[places[i]]
        try:
            header = images.read_header(maps.read(places[i]), name)
            label_maps.check_header(header, name)
            picture = images.read_header(theirs.read(matches[i].b), name)
        except images.BrokenPicture as error:
            return f"  {maps.path}: {name}: {error.reason}"
        size = (header.height, header.width)
        if alike(size, (picture.height, picture.width)):
            return None
        said = (
            f"is {size[0]}x{size[1]} and its picture {picture.height}x{picture.width}"
        )
        return f"  {maps.path}: {name}: {said}"

    found = [x for x in ordered_map(problem, len(matches)) if x is not None]
    if found:
        raise refusal(found, "")
    return places


def write_instances(
    out: Path,
    maps: sources.Source,
    places: Sequence[int],
    shape: tuple[int, int],
    lines: Sequence[dict[str, Any]],
    storage: str,
) -> None:
    """Writes the maps and names them in the lines of the manifest.

    Args:
        out: folder of the set.
        maps: maps of instances.
        places: each pair's in it.
        shape: (height, width) of the pictures; maps are resized with nearest.
        lines: of the manifest; each gets ``instances``.
        storage: ``folder`` or ``arrayrecord``.

    Raises:
        UserError: maps that cannot be decoded, or with more than 256 instances (all are
            listed).
    """
    folder = out / manifest.INSTANCES
    folder.mkdir()

    def write(i: int) -> str | None:
        name = maps.names[places[i]]
        try:
            image = label_maps.decode(maps.read(places[i]), name, renumber=True)
        except images.BrokenPicture as error:
            return f"  {maps.path}: {name}: {error.reason}"
        data = images.encode_png(label_maps.fit(image, shape))
        (folder / f"{manifest.picture_name(lines[i]['index'])}.png").write_bytes(data)
        return None

    found = [x for x in ordered_map(write, len(lines)) if x is not None]
    if found:
        raise refusal(found, "")
    for line in lines:
        line[manifest.INSTANCES] = f"{manifest.INSTANCES}/{line['name']}.png"
    if storage == "arrayrecord":
        file = f"{manifest.INSTANCES}.arrayrecord"
        files = sorted(folder.iterdir())
        names = {"names": [path.name for path in files]}
        pictures = (path.read_bytes() for path in files)
        write_arrayrecord(str(out / file), pictures, names.copy)
        shutil.rmtree(folder)
        for line in lines:
            line[manifest.INSTANCES] = file
