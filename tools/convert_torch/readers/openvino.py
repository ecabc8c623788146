"""OpenVINO's files: a network's graph in XML, its constants in a file beside it.

The format is OpenVINO's "intermediate representation" of versions 10 and 11. The XML is
read without entities and document types, which such files never have; sizes and depths
are bounded, and every constant must lie within the file of weights. What an operation
means is for the rules to say; nothing is run.
"""

from __future__ import annotations

import dataclasses
import math
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.parsers import expat

from stylegan_jax.convert_torch.readers.faults import (
    CutShort,
    Damaged,
    Refused,
    Unsupported,
    told,
)
from stylegan_jax.convert_torch.readers.values import ELEMENTS, Storage, Tensor
from stylegan_jax.errors import UserError

# The network that is read here has 1000 layers in 0.4 MB.
MAX_XML_BYTES = 2**25
MAX_ELEMENTS = 10**6
MAX_DEPTH = 16
MAX_TEXT = 4096

# Element types by their names in the format.
_KINDS = {
    "f32": "float32",
    "f16": "float16",
    "f64": "float64",
    "i32": "int32",
    "i64": "int64",
    "u8": "uint8",
}

# A layer's output: the layer, and the number of its port.
Port = tuple[str, int]


@dataclasses.dataclass(frozen=True)
class Layer:
    """One operation of a graph.

    Attributes:
        name: its name, for messages.
        kind: the operation, e.g. ``Convolution``.
        attributes: its settings, as text.
        inputs: where its inputs come from, in order.
        shapes: of its outputs, in order.
    """

    name: str
    kind: str
    attributes: Mapping[str, str]
    inputs: tuple[Port, ...]
    shapes: tuple[tuple[int, ...], ...] = ()


@dataclasses.dataclass(frozen=True)
class Network:
    """A graph.

    Attributes:
        name: the network's name in the file.
        layers: the operations by their identifiers.
        tensors: the constants by their layers' identifiers.
    """

    name: str
    layers: Mapping[str, Layer]
    tensors: Mapping[str, Tensor]


@dataclasses.dataclass
class _Element:
    """An XML element while it is read."""

    tag: str
    attributes: dict[str, str]
    children: list[_Element] = dataclasses.field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> list[_Element]:
        return [child for child in self.children if child.tag == tag]

    def one(self, tag: str) -> _Element:
        found = self.all(tag)
        if len(found) != 1:
            raise Damaged(f"it has {len(found)} parts {tag!r} instead of one")
        return found[0]

    def get(self, name: str) -> str:
        if name not in self.attributes:
            raise Damaged(f"an element {self.tag!r} has no {name!r}")
        return self.attributes[name]


def read_openvino(xml: str | Path, weights: str | Path) -> Network:
    """Reads a network; its constants stay in the file until they are asked for.

    Args:
        xml: the graph.
        weights: the file of constants, ``.bin`` by custom.

    Raises:
        UserError: a file is missing, another kind of file or damaged; or the two do not
            belong together.
    """
    xml, weights = Path(xml), Path(weights)
    text = _bytes(xml, MAX_XML_BYTES)
    data = _mapped(weights)
    with told(xml):
        return read_bytes(text, data)


def read_bytes(text: bytes, data: memoryview) -> Network:
    """Reads a network that is in memory; as `read_openvino`.

    Raises:
        Fault: the bytes are no such network.
    """
    root = _parse(text)
    if root.tag != "net":
        raise Unsupported(f"it is XML of {root.tag[:80]!r} and no OpenVINO network")
    if root.get("version") not in ("10", "11"):
        raise Unsupported(f"its format has the version {root.get('version')[:20]!r}")
    inputs = _edges(root.one("edges"))
    layers: dict[str, Layer] = {}
    tensors: dict[str, Tensor] = {}
    for element in root.one("layers").all("layer"):
        number, name = element.get("id"), element.get("name")
        if number in layers:
            raise Damaged(f"two layers have the number {number[:80]!r}")
        settings = element.all("data")
        attributes = settings[0].attributes if settings else {}
        layers[number] = Layer(
            name,
            element.get("type"),
            attributes,
            inputs.pop(number, ()),
            _shapes(element),
        )
        if layers[number].kind == "Const":
            tensors[number] = _tensor(name, attributes, data)
    ends = {port[0] for layer in layers.values() for port in layer.inputs}
    if inputs or ends - set(layers):
        raise Damaged("an edge ends at a layer that is not there")
    return Network(root.get("name"), layers, tensors)


def _edges(element: _Element) -> dict[str, tuple[Port, ...]]:
    """Where every layer's inputs come from, in the order of its ports."""
    found: dict[str, dict[int, Port]] = {}
    for edge in element.all("edge"):
        ports = found.setdefault(edge.get("to-layer"), {})
        place = _integer(edge.get("to-port"))
        if place in ports:
            raise Damaged("two edges end at one port")
        ports[place] = (edge.get("from-layer"), _integer(edge.get("from-port")))
    return {
        layer: tuple(ports[place] for place in sorted(ports))
        for layer, ports in found.items()
    }


def _shapes(element: _Element) -> tuple[tuple[int, ...], ...]:
    """The shapes of a layer's outputs."""
    ports = [port for output in element.all("output") for port in output.all("port")]
    return tuple(tuple(_integer(dim.text) for dim in port.all("dim")) for port in ports)


def _tensor(name: str, attributes: Mapping[str, str], data: memoryview) -> Tensor:
    """A constant as a view of the file of weights."""
    missing = {"element_type", "shape", "offset", "size"} - set(attributes)
    if missing:
        raise Damaged(f"the constant {name[:80]!r} has no {', '.join(sorted(missing))}")
    kind = _KINDS.get(attributes["element_type"])
    if kind is None:
        raise Unsupported(
            f"the constant {name[:80]!r} has elements of type "
            f"{attributes['element_type'][:20]!r}"
        )
    shape = [_integer(n) for n in attributes["shape"].split(",") if n.strip()]
    if len(shape) > 32:
        raise Damaged(f"the constant {name[:80]!r} has an impossible shape")
    offset, size = _integer(attributes["offset"]), _integer(attributes["size"])
    stored, length = ELEMENTS[kind], math.prod(shape)
    if length * stored.itemsize != size:
        raise Damaged(
            f"the constant {name[:80]!r} of shape {shape} has {size} bytes instead of "
            f"{length * stored.itemsize}"
        )
    if offset + size > len(data):
        raise CutShort(
            f"the constant {name[:80]!r} ends at byte {offset + size} of the weights, "
            f"which have {len(data)}"
        )
    view = data[offset : offset + size]
    strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    return Tensor(Storage(kind, stored, length, lambda: view), shape, strides)


def _integer(text: str) -> int:
    """A length, a place or a port."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise Damaged(f"{text[:80]!r} is no number of this format")
    return int(text)


class _Reader:
    """Collects elements; refuses what OpenVINO's files never have."""

    def __init__(self) -> None:
        self.root: _Element | None = None
        self._open: list[_Element] = []
        self._count = 0

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH:
            raise Unsupported("it has more elements than any network has")
        if any(len(value) > MAX_TEXT for value in attributes.values()):
            raise Unsupported("it has longer texts than any network has")
        element = _Element(tag, attributes)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, _: str) -> None:
        self._open.pop()

    def text(self, part: str) -> None:
        element = self._open[-1]
        element.text += part.strip()
        if len(element.text) > MAX_TEXT:
            raise Unsupported("it has longer texts than any network has")

    @staticmethod
    def refuse(*_: Any) -> int:
        raise Refused("a document type or an entity of XML")


def _parse(text: bytes) -> _Element:
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # Entities can stand for other files, or for more text than memory holds.
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    parser.ExternalEntityRefHandler = reader.refuse
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, ValueError) as error:
        # An unknown encoding is a ValueError, or LookupError below.
        raise Damaged(f"it is no XML: {error}") from error
    except LookupError as error:
        raise Unsupported("its text has an unknown encoding") from error
    if reader.root is None:
        raise Damaged("it is no XML: it has no element")
    return reader.root


def _bytes(path: Path, most: int) -> bytes:
    try:
        if path.stat().st_size > most:
            raise UserError(
                f"{path} is larger than any graph of a network: give OpenVINO's .xml."
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}: check the name.") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error


def _mapped(path: Path) -> memoryview:
    """The file as a view; pages are read when they are looked at."""
    try:
        with path.open("rb") as stream:
            if path.stat().st_size == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}: check the name.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {path}: {reason}.") from error
