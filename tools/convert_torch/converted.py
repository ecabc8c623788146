"""Networks as this program has them: converted from another's, or from our files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.load import FAMILIES
from stylegan_jax.checkpoints.model_file import FORMAT, read_model, save_model
from stylegan_jax.convert_torch.average import SAMPLES, SEED, estimate_mean
from stylegan_jax.convert_torch.opening import Opened, about
from stylegan_jax.convert_torch.rules.language import Expansion
from stylegan_jax.convert_torch.rules.layout import to_jax
from stylegan_jax.convert_torch.sources.part import SourcePart
from stylegan_jax.errors import UserError

# Numbers in the noise maps of a network of 4096 px, twice over: beyond it no memory is
# taken for what the file does not hold.
MAX_NOISE = 2**26

# What the mean latent is called, in generators, in pSp's decoder, and in pSp itself.
MEANS = (
    "moving_stats/mapping/w_avg",
    "moving_stats/decoder/mapping/w_avg",
    "moving_stats/latent_avg",
)


@dataclasses.dataclass(frozen=True)
class Converted:
    """One network, ready to be saved or laid out for another program.

    Attributes:
        name: its name in a folder of parts.
        family: the family of model files.
        config: constructor fields.
        variables: nested dicts of arrays.
        provenance: where it comes from.
        licence: of its weights.
        source: the part of the file that it was made from; None for our own files.
        expansion: the table that made it; None for our own files.
        notes: sentences for the screen and the report.
    """

    name: str
    family: str
    config: dict[str, Any]
    variables: dict[str, Any]
    provenance: dict[str, Any]
    licence: str
    source: SourcePart | None = None
    expansion: Expansion | None = None
    notes: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return count(self.variables["params"])

    def save(self, path: Path) -> None:
        """Writes it as a model file."""
        save_model(
            path,
            self.variables,
            family=self.family,
            config=self.config,
            provenance=self.provenance,
            licence=self.licence,
        )

    def document(self) -> dict[str, Any]:
        """What its model file would say about it."""
        return {
            "format": FORMAT,
            "family": self.family,
            "config": self.config,
            "provenance": self.provenance,
            "licence": self.licence,
        }


def count(tree: Mapping[str, Any]) -> int:
    """How many numbers a tree of arrays holds."""
    return sum(
        count(v) if isinstance(v, Mapping) else int(np.size(v)) for v in tree.values()
    )


def convert_part(
    part: SourcePart,
    opened: Opened,
    *,
    licence: str | None = None,
    progress: Callable[[int], Any] | None = None,
) -> Converted:
    """Converts one network of a checkpoint, strictly.

    Args:
        part: one of ``opened.source.parts``.
        opened: the checkpoint.
        licence: the licence of the weights, where the user knows it better.
        progress: called with 1 for every tensor that is done.

    Returns:
        The network.

    Raises:
        UserError: tensors are missing, unexpected or misshapen; all are listed.
    """
    where = part.hints.get("where", opened.path)
    config = part.layout.config(part.state, part.hints)
    check_stated(config, part.hints.get("stated_resolution"), where=where)
    shapes = FAMILIES[part.layout.family].shapes(config, where=where)
    expansion = part.layout.expand(config)
    state, notes, made = completed(part, expansion, config, shapes)
    variables = to_jax(state, expansion, shapes, where=where, progress=progress)
    if "w_avg" in made:
        mean = estimate_mean(part.layout.family, config, variables)
        fill(variables, made["w_avg"]["tensors"], mean)
    if part.ignored:
        notes.append(f"not used by the finished network: {', '.join(part.ignored)}")
    parent = about(opened.source.document, part.name)
    provenance = {
        "made_by": "convert",
        "source": {
            "file": opened.path.name,
            "sha256": opened.sha256,
            "container": opened.container,
            "program": opened.source.program,
            "layout": part.layout.name,
            "part": part.name,
        },
        **({"estimated": made} if made else {}),
        **({"parent": parent} if parent else {}),
    }
    return Converted(
        name=part.name,
        family=part.layout.family,
        config=config,
        variables=variables,
        provenance=provenance,
        licence=licence or parent.get("licence") or opened.source.licence,
        source=part,
        expansion=expansion,
        notes=tuple(notes),
    )


def check_stated(config: Mapping[str, Any], stated: Any, *, where: object) -> None:
    """Refuses a file that says another size of its pictures than its tensors make.

    Raises:
        UserError: the two differ.
    """
    if not isinstance(stated, int) or "num_blocks" not in config:
        return
    grid = config.get("base_grid", (4, 4))
    made = [n << (config["num_blocks"] - 1) for n in grid]
    if stated not in made:
        raise UserError(
            f"{where} says that its pictures have {stated} pixels and its tensors make "
            f"{made[0]}x{made[1]}: the file is damaged or was put together wrongly. "
            "Nothing was written."
        )


def completed(
    part: SourcePart,
    expansion: Expansion,
    config: Mapping[str, Any],
    shapes: Mapping[str, Any],
) -> tuple[dict[str, Any], list[str], dict[str, Any]]:
    """The state with what some programs do not store put in.

    Args:
        part: the network.
        expansion: its table.
        config: its config.
        shapes: its tensors.

    Returns:
        The state; notes; and what was made up, by name, for the provenance.
    """
    state, notes, made = dict(part.state), [], {}
    means = [e for e in expansion.entries if e.target in MEANS]
    lacking = [e for e in means if e.source not in state]
    # A conditional network's mean depends on how frequent its labels are.
    if lacking and not config.get("c_dim"):
        for entry in lacking:  # filled in once there is a mapping network to use
            state[entry.source] = np.zeros(shapes[entry.target].shape, np.float32)
        made["w_avg"] = {
            "how": "mean of w over z of numpy's RandomState",
            "samples": SAMPLES,
            "seed": SEED,
            "tensors": [entry.target for entry in lacking],
        }
        notes.append(
            f"the file has no mean latent: w_avg was estimated from {SAMPLES} z"
        )
    multiplier = config.get("mapping_lr_multiplier", 0.01)
    if part.layout.name == "rosinality" and multiplier != 0.01:
        notes.append(
            f"lr_mlp {multiplier:g} was told from the spread of its mapping weights, "
            "because nothing else in the file tells it"
        )
    noise = [e for e in expansion.entries if e.target.startswith("noise/")]
    if noise and all(e.source not in state for e in noise):
        wanted = sum(int(np.prod(shapes[e.target].shape)) for e in noise)
        if wanted > MAX_NOISE:
            raise UserError(
                f"{part.hints.get('where', part.name)} has no noise maps and asks for "
                f"{wanted} numbers of them, more than any network has: the file is "
                "damaged. Nothing was written."
            )
        rng = np.random.RandomState(SEED)
        for entry in noise:
            shape = entry.axes.source_shape(shapes[entry.target].shape)
            state[entry.source] = rng.randn(*shape).astype(np.float32)
        made["noise"] = {"how": "standard normal of numpy's RandomState", "seed": SEED}
        notes.append("the file has no noise maps: they were drawn from seed 0")
    return state, notes, made


def fill(variables: dict[str, Any], paths: list[str], mean: np.ndarray) -> None:
    """Puts the mean latent [D] in its places, once for every row that they have."""
    for path in paths:
        *parents, last = path.split("/")
        tree = variables
        for parent in parents:
            tree = tree[parent]
        tree[last] = np.broadcast_to(mean, tree[last].shape).copy()


def read_ours(path: Path, name: str) -> Converted:
    """A model file of this program.

    Raises:
        UserError: see `read_model`.
    """
    model = read_model(path)
    # JSON has no tuples; the rest of the program sees what the module would hold.
    config = {
        k: tuple(v) if isinstance(v, list) else v for k, v in model.config.items()
    }
    # Checks the tensors against the config, as loading would.
    network = FAMILIES[model.family].from_file(model, where=path)
    return Converted(
        name=name,
        family=model.family,
        config={**network.config, **config},
        variables=model.variables,
        provenance=model.metadata.get("provenance", {}),
        licence=model.metadata.get("licence", "not stated"),
    )


def pick(parts: tuple[Any, ...], name: str | None, *, where: object) -> Any:
    """The part of that name, or the first.

    Raises:
        UserError: there is none of that name.
    """
    if name is None:
        return parts[0]
    for part in parts:
        if part.name == name:
            return part
    raise UserError(
        f"{where} has no part {name!r}: it has {', '.join(p.name for p in parts)}."
    )
