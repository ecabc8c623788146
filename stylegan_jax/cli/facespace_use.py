"""``stylegan-jax facespace``: blend, morph, pose, grid, style."""

from __future__ import annotations

import json
from typing import Any

import click

from stylegan_jax.cli.licences import say_licence
from stylegan_jax.cli.options import JSON

_NOISE = click.option(
    "--noise",
    type=click.Choice(["none", "const"]),
    default="none",
    show_default=True,
    help="None, as faces are fitted, or the generator's own noise.",
)
_OUT_FILM = click.option(
    "--out", required=True, help="A .gif, or .mp4 with the extra video."
)
_OUT_PICTURE = click.option("--out", required=True, help="A .png.")
_FPS = click.option(
    "--fps",
    type=click.IntRange(1),
    default=25,
    show_default=True,
    help="Frames per second; a GIF has at most 50.",
)


def _cell(default: int):
    return click.option(
        "--cell",
        type=click.IntRange(16),
        default=default,
        show_default=True,
        help="Largest side of a picture on a sheet.",
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_BLEND_EPILOG = """\b
Example: stylegan-jax facespace blend space.safetensors \\
           --weights anna=.6,bela=.4 --out blend.png
         stylegan-jax facespace blend space.safetensors --random 9 --out nine.png
"""


@click.command(epilog=_BLEND_EPILOG)
@click.argument("space")
@click.option(
    "--weights",
    multiple=True,
    help="Faces, by name or number from 1, such as anna=.6,bela=.4; only ratios count, "
    "and negative weights go away from a face. Repeat it for more blends.",
)
@click.option(
    "--random",
    "random",
    type=click.IntRange(1),
    help="Draw so many blends from all possible ones.",
)
@click.option(
    "--concentration",
    type=float,
    default=1.0,
    show_default=True,
    help="Of random blends: below 1 few faces prevail, above 1 shares are alike.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Of random blends.",
)
@click.option("--plain", is_flag=True, help="The pictures alone, without bars.")
@_cell(256)
@_NOISE
@_OUT_PICTURE
@JSON
def blend(space: str, out: str, as_json: bool, **given: Any) -> None:
    """Blend the faces of a face space.

    SPACE is what facespace fit wrote. Beside each picture are bars of the shares. With
    --json: the exact weights, and how far the picture is from each face's own
    (l2: mean squared difference of pixels in [-1, 1]).
    """
    from tqdm import tqdm

    from stylegan_jax.latents.shares import labels
    from stylegan_jax.pipelines.facespace_blend import Options
    from stylegan_jax.pipelines.facespace_blend import blend as library
    from stylegan_jax.pipelines.facespace_open import open_space

    options = Options(
        weights=given["weights"],
        random=given["random"] or 0,
        concentration=given["concentration"],
        seed=given["seed"],
        plain=given["plain"],
        cell=given["cell"],
        noise_mode=given["noise"],
    )
    # disable=None: a bar only where a person watches.
    with tqdm(unit="img", leave=False, disable=None) as bar:
        found = library(open_space(space), out, options, progress=bar.update)
    say_licence(space)
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(f"{out}: {_counted(len(found['blends']), 'blend')}")
    called = dict(zip(found["names"], labels(found["names"]), strict=True))
    for one in found["blends"][:10]:
        nearest = min(one["l2"], key=one["l2"].get)
        largest = sorted(one["weights"].items(), key=lambda item: -abs(item[1]))
        shares = [f"{called[n]} {w:.0%}" for n, w in largest[:4] if w]
        click.echo(
            f"  {', '.join(shares)}; nearest {called[nearest]} "
            f"(l2 {one['l2'][nearest]:.4f})"
        )


_MORPH_EPILOG = """\b
Example: stylegan-jax facespace morph space.safetensors anna bela carla \\
           --closed --bars --out morph.gif
"""


@click.command(epilog=_MORPH_EPILOG)
@click.argument("space")
@click.argument("stops", nargs=-1, required=True)
@click.option("--closed", is_flag=True, help="Go back to the first one.")
@click.option(
    "--frames-per",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="Frames from one stop to the next.",
)
@_FPS
@click.option(
    "--easing",
    type=click.Choice(["linear", "cosine", "smooth", "smoother"]),
    default="cosine",
    show_default=True,
    help="All but linear slow down at each stop.",
)
@click.option(
    "--path",
    type=click.Choice(["simplex", "spherical"]),
    default="simplex",
    show_default=True,
    help="Straight between shares, or along great circles of the inputs.",
)
@click.option("--bars", is_flag=True, help="Bars of the shares beside the picture.")
@_cell(256)
@_NOISE
@_OUT_FILM
@JSON
def morph(
    space: str, stops: tuple[str, ...], out: str, as_json: bool, **given: Any
) -> None:
    """Make a film that goes from face to face.

    SPACE is what facespace fit wrote. STOPS are faces, by name or number from 1, or
    blends such as anna=.5,bela=.5.
    """
    from tqdm import tqdm

    from stylegan_jax.pipelines.facespace_morph import Options
    from stylegan_jax.pipelines.facespace_morph import morph as library
    from stylegan_jax.pipelines.facespace_open import open_space
    from stylegan_jax.pipelines.films import check_film

    check_film(out, given["fps"])
    given["noise_mode"] = given.pop("noise")
    with tqdm(unit="frame", leave=False, disable=None) as bar:
        found = library(
            open_space(space), stops, out, Options(**given), progress=bar.update
        )
    say_licence(space)
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(f"{out}: {found['frames']} frames, {found['seconds']:.1f} s")


_POSE_EPILOG = """\b
Example: stylegan-jax facespace pose space.safetensors --photo me.jpg --out pose.png
"""


@click.command(epilog=_POSE_EPILOG)
@click.argument("space")
@click.option(
    "--photo",
    "photos",
    multiple=True,
    required=True,
    help="A picture, or a folder of them; repeat it for more.",
)
@click.option(
    "--landmarks",
    default="dlib",
    show_default=True,
    help="dlib finds them, or a FILE.json has them (as data align takes it).",
)
@click.option(
    "--aligned", is_flag=True, help="The photos are aligned; take them as they are."
)
@_cell(256)
@_FPS
@_NOISE
@click.option(
    "--out", required=True, help="A .png for a sheet; a .gif or .mp4 for a film."
)
@JSON
def pose(
    space: str, photos: tuple[str, ...], out: str, as_json: bool, **given: Any
) -> None:
    """Drive a face space with someone else's landmarks.

    SPACE is a face space of kind landmarks. The largest face of each photo is aligned
    as FFHQ is, and its 68 landmarks are the input. A photo without a face is left out.
    """
    from tqdm import tqdm

    from stylegan_jax.pipelines.facespace_open import open_space
    from stylegan_jax.pipelines.facespace_pose import Options
    from stylegan_jax.pipelines.facespace_pose import pose as library

    given["noise_mode"] = given.pop("noise")
    with tqdm(unit="img", leave=False, disable=None) as bar:
        found = library(
            open_space(space, faces=0),
            photos,
            out,
            Options(**given),
            progress=bar.update,
        )
    say_licence(space)
    for name, reason in found["failed"].items():
        click.echo(f"left out {name}: {reason}", err=True)
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(f"{out}: {_counted(len(found['driven']), 'photo')} followed")


_GRID_EPILOG = """\b
Example: stylegan-jax facespace grid space.safetensors --out grid.png
"""


@click.command(epilog=_GRID_EPILOG)
@click.argument("space")
@click.option("--faces", help="Names or numbers from 1, such as anna,3.  [all]")
@_cell(96)
@_NOISE
@_OUT_PICTURE
@JSON
def grid(
    space: str, faces: str | None, cell: int, noise: str, out: str, as_json: bool
) -> None:
    """Draw all pairs of faces, half and half.

    SPACE is what facespace fit wrote. The photos are on the margins.
    """
    from tqdm import tqdm

    from stylegan_jax.pipelines.facespace_grid import grid as library
    from stylegan_jax.pipelines.facespace_open import open_space

    with tqdm(unit="img", leave=False, disable=None) as bar:
        found = library(
            open_space(space),
            out,
            faces=faces.split(",") if faces else (),
            cell=cell,
            noise_mode=noise,
            progress=bar.update,
        )
    say_licence(space)
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(
        f"{out}: {len(found['faces'])} faces, {_counted(found['blends'], 'blend')}"
    )


_STYLE_EPILOG = """\b
Example: stylegan-jax facespace style space.safetensors --person anna \\
           --style bela --style styles.safetensors --layers 4-7 --out style.png
"""


@click.command(epilog=_STYLE_EPILOG)
@click.argument("space")
@click.option("--person", required=True, help="A face, or a blend such as anna,bela.")
@click.option(
    "--style",
    "styles",
    multiple=True,
    required=True,
    help="A face or blend of the space, the file of a face space that was fitted to "
    "pictures of a style with the same generator, or an .npz of latents. Repeat it.",
)
@click.option(
    "--layers",
    help="Layers that go to the style, from 0 for the coarsest.  [the finer half]",
)
@click.option(
    "--strengths",
    default="0:1:5",
    show_default=True,
    help="Shares of the way: 0:1:5 for 5 from 0 to 1, or .2,.8.",
)
@_cell(128)
@click.option(
    "--frames",
    type=click.IntRange(2),
    default=30,
    show_default=True,
    help="Of a film, one way.",
)
@_FPS
@_NOISE
@click.option(
    "--out", required=True, help="A .png for a sheet; a .gif or .mp4 for a film."
)
@JSON
def style(
    space: str,
    person: str,
    styles: tuple[str, ...],
    out: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Draw a person in the style of other pictures.

    SPACE is what facespace fit wrote. The named layers of W+ go from the person's to
    the style's: coarse ones hold pose and shape, fine ones colours and textures.
    """
    from tqdm import tqdm

    from stylegan_jax.pipelines.facespace_open import open_space
    from stylegan_jax.pipelines.facespace_style import Options, told_layers
    from stylegan_jax.pipelines.facespace_style import style as library

    given["noise_mode"] = given.pop("noise")
    with tqdm(unit="img", leave=False, disable=None) as bar:
        found = library(
            open_space(space),
            person,
            styles,
            out,
            Options(**given),
            progress=bar.update,
        )
    say_licence(space, *(s for s in styles if s.lower().endswith(".safetensors")))
    if as_json:
        click.echo(json.dumps(found))
        return
    styles_told = _counted(len(found["styles"]), "style")
    click.echo(f"{out}: {styles_told}, layers {told_layers(found['layers'])}")


COMMANDS = (blend, morph, grid, pose, style)
