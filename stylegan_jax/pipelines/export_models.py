"""What a model is when it is exported: a function of arrays, with names and ranges."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.attributes import (
    AttributeNetwork,
    fit_pictures,
    read_outputs,
)
from stylegan_jax.checkpoints.drawing import map_latents, synthesise, to_bytes
from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.checkpoints.pix2pixhd import Pix2PixHDGlobal, Pix2PixHDLocal
from stylegan_jax.checkpoints.psp import PSPNetwork
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines.stylize_pix2pixhd import StudentPictures, student_input
from stylegan_jax.pipelines.stylize_psp import (
    has_unit_range,
    kind_of,
    model_input,
    trained_noise,
)

Arrays = tuple[jax.Array, ...]
LATENTS = ("z", "w_plus")


@dataclasses.dataclass(frozen=True)
class Options:
    """How a model is exported.

    Attributes:
        size: side of a student's pictures; None for the one it was trained at.
        classes: of the label maps of a student whose file does not tell.
        batch: pictures at a time; None for any number.
        noise_mode: of a generator or decoder, ``const`` or ``none``; None for const,
            and of a pSp for what it was trained with.
        latents: what a generator takes, of `LATENTS`; None for z.
        uint8: whether pictures go in and out as bytes.
    """

    size: int | None = None
    classes: int | None = None
    batch: int | None = 1
    noise_mode: str | None = None
    latents: str | None = None
    uint8: bool = False


@dataclasses.dataclass(frozen=True)
class Input:
    """An input of what is exported.

    Attributes:
        name: of it.
        shape: without the batch.
        dtype: NumPy's name.
        meaning: for people.
        draw: from a NumPy generator and a shape to an example.
        single: whether one value serves the whole batch.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    meaning: str
    draw: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
    single: bool = False


@dataclasses.dataclass(frozen=True)
class Exportable:
    """A model as a function.

    Attributes:
        function: from the inputs, each with its batch in front, to the outputs.
        reference: the same through the model's own methods, in NumPy.
        inputs: in order.
        outputs: name → what it is, in order.
        document: further JSON values for whoever uses the file.
    """

    function: Callable[..., Arrays]
    reference: Callable[..., tuple[np.ndarray, ...]]
    inputs: Sequence[Input]
    outputs: Mapping[str, str]
    document: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def exportable(model: Any, options: Options) -> Exportable:
    """A model as a function, for what `options` ask.

    Networks that compute in 16 bits are exported in float32.

    Args:
        model: as `load` gives it.
        options: see there.

    Raises:
        UserError: a family that is not exported, or options that do not fit.
    """
    if isinstance(model, Pix2PixHDGlobal | Pix2PixHDLocal):
        _refuse(options, "a pix2pixHD model", "noise_mode", "latents")
        return _student(model, options)
    if isinstance(model, PSPNetwork):
        _refuse(options, "a pSp", "size", "classes", "latents")
        return _psp(model, options)
    if isinstance(model, AttributeNetwork):
        fixed = ("size", "classes", "noise_mode", "latents")
        _refuse(options, "a model of attributes", *fixed)
        return _attributes(model, options)
    if isinstance(model, GeneratorNetwork):
        _refuse(options, "a generator", "size", "classes")
        return _generator(model, options)
    raise UserError(
        f"models of the family {model.metadata.get('family', 'unknown')} are not "
        "exported: give a generator, a pSp, a pix2pixHD model or a model of attributes."
    )


def _refuse(options: Options, kind: str, *names: str) -> None:
    words = {"noise_mode": "noise", "latents": "input"}
    given = [words.get(n, n) for n in names if getattr(options, n) is not None]
    if given:
        raise UsageError(f"{kind} knows no {', '.join(given)}: leave them out.")


def _student(model: Any, options: Options) -> Exportable:
    pictures = StudentPictures(model, size=options.size, classes=options.classes)
    kind, module = pictures.kind, model.module
    if options.uint8:
        image = _bytes("image", kind.shape, kind.classes)
    else:
        shape = (kind.size, kind.size, module.input_channels)
        image = _floats("image", shape, one_hot=bool(kind.classes))

    def run(x: jax.Array) -> Arrays:
        if not options.uint8:
            return (module.apply(model.variables, x),)
        y = module.apply(model.variables, student_input(x, kind, module.input_channels))
        return (to_bytes(y),)

    reference = pictures.draw if options.uint8 else model
    return Exportable(
        run, _through(reference), [image], _picture(pictures.image_shape, options.uint8)
    )


def _psp(model: PSPNetwork, options: Options) -> Exportable:
    model = _in_float32(model, "decoder_dtype")
    kind, noise = kind_of(model), options.noise_mode or trained_noise(model)
    unit = has_unit_range(model)
    module = model.module
    if options.uint8:
        image = _bytes("image", kind.shape, kind.classes)
    else:
        shape = module.input_shape
        image = _floats("image", shape, one_hot=bool(kind.classes), unit=unit)

    def run(x: jax.Array) -> Arrays:
        if options.uint8:
            x = model_input(x, kind, unit_range=unit)
        apply = partial(module.apply, model.variables, noise_mode=noise)
        w_plus: Any = apply(x, method="encode")
        y: Any = apply(w_plus, method="synthesis")
        return (to_bytes(y) if options.uint8 else y,)

    def reference(x: np.ndarray) -> jax.Array:
        if options.uint8:
            x = np.asarray(model_input(jnp.asarray(x), kind, unit_range=unit))
        y = model(jnp.asarray(x), noise_mode=noise)
        return to_bytes(y) if options.uint8 else y

    return Exportable(
        run,
        _through(reference),
        [image],
        _picture(model.image_shape, options.uint8),
        {"noise_mode": noise},
    )


def _generator(model: Any, options: Options) -> Exportable:
    model = _in_float32(model, "dtype")
    noise, latents = options.noise_mode or "const", options.latents or LATENTS[0]
    module, variables = model.module, model.variables

    def draw(w_plus: jax.Array) -> Arrays:
        y = synthesise(module, noise, variables, w_plus, None)
        return (to_bytes(y) if options.uint8 else y,)

    def run(z: jax.Array, psi: jax.Array, *c: jax.Array) -> Arrays:
        label = c[0] if c else None
        return draw(map_latents(module, None, variables, z, label, psi))

    def told(w_plus: Any) -> jax.Array:
        y = model.synthesis(w_plus, noise)
        return to_bytes(y) if options.uint8 else y

    def reference(z: np.ndarray, psi: np.ndarray, *c: np.ndarray) -> jax.Array:
        return told(model.mapping(z, c[0] if c else None, float(psi)))

    outputs = _picture(model.image_shape, options.uint8)
    document = {"noise_mode": noise}
    if latents == "w_plus":
        shape = (model.num_ws, module.w_dim)
        about = "latents of all layers, such as those in the w.npz of a projection"

        def mapped(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
            z = _normal(rng, (shape[0], module.z_dim))
            c = _one_hot(rng, (shape[0], module.c_dim)) if module.c_dim else None
            return np.asarray(model.mapping(z, c))

        one = Input("w_plus", shape, "float32", about, mapped)
        return Exportable(draw, _through(told), [one], outputs, document)
    inputs = [
        Input("z", (module.z_dim,), "float32", "normal random numbers", _normal),
        Input(
            "psi",
            (),
            "float32",
            "truncation: 1 leaves latents as they are, 0 gives the mean picture",
            lambda rng, shape: rng.uniform(0.5, 1.0, shape).astype(np.float32),
            single=True,
        ),
    ]
    if module.c_dim:
        about = "the class, one-hot"
        inputs.append(Input("c", (module.c_dim,), "float32", about, _one_hot))
    return Exportable(run, _through(reference), inputs, outputs, document)


def _attributes(model: AttributeNetwork, options: Options) -> Exportable:
    """What `AttributeNetwork.read` computes, of pictures as large as its input."""
    module = model.module
    shape, size = module.input_shape, module.input_size
    image = _bytes("image", shape, 0)
    if not options.uint8:
        # The model itself reads bytes: what both are tried with are bytes as floats.
        image = dataclasses.replace(_floats("image", shape), draw=_levels)

    def run(x: jax.Array) -> Arrays:
        if not options.uint8:
            x = (x + 1.0) * 127.5
        x = fit_pictures(x, size, module.read_share, module.read_drop)
        return (module.values(read_outputs(module, model.variables, x)),)

    def reference(x: np.ndarray) -> np.ndarray:
        if not options.uint8:
            x = np.round((x + 1.0) * 127.5).astype(np.uint8)
        found = model.read(x)
        return np.stack([found[name] for name in model.names], axis=1)

    about = "one column for each of names: probabilities, or numbers in the data's unit"
    document = {
        "names": list(model.names),
        "kinds": model.kinds,
        "read_share": module.read_share,
        "read_drop": module.read_drop,
        "mirrored": module.mirrored,
    }
    return Exportable(run, _through(reference), [image], {"values": about}, document)


def _in_float32(model: Any, field: str) -> Any:
    """The model, computing in float32."""
    if getattr(model.module, field, "float32") == "float32":
        return model
    module = model.module.clone(**{field: "float32"})
    return type(model)(module, model.variables, metadata=model.metadata)


def _through(function: Callable[..., Any]) -> Callable[..., tuple[np.ndarray, ...]]:
    """A method of one result, in NumPy."""
    return lambda *arrays: (np.asarray(function(*arrays)),)


def _floats(
    name: str, shape: tuple[int, ...], *, one_hot: bool = False, unit: bool = False
) -> Input:
    if one_hot:
        return Input(name, shape, "float32", "class maps one-hot, [N, H, W, C]", _share)
    if unit:
        return Input(name, shape, "float32", "grey from 0 to 1, [N, H, W, C]", _share)
    about = "pictures from -1 to 1, [N, H, W, C]"
    return Input(name, shape, "float32", about, _symmetric)


def _bytes(name: str, shape: tuple[int, ...], classes: int) -> Input:
    about = "numbers of classes" if classes else "pictures"

    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.integers(0, classes or 256, shape, np.uint8)

    return Input(name, shape, "uint8", f"{about}, 8 bits, [N, H, W, C]", draw)


def _picture(shape: tuple[int, int, int], uint8: bool) -> dict[str, str]:
    height, width, channels = shape
    values = "8 bits" if uint8 else "nominally from -1 to 1, not clipped"
    return {"picture": f"[N, {height}, {width}, {channels}], {values}"}


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def _symmetric(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(-1, 1, shape).astype(np.float32)


def _levels(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    levels = rng.integers(0, 256, shape).astype(np.float32)
    return levels / np.float32(127.5) - np.float32(1)


def _share(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(0, 1, shape).astype(np.float32)


def _one_hot(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.eye(shape[1], dtype=np.float32)[rng.integers(0, shape[1], shape[0])]
