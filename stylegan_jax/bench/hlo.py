"""Reads a compiled program's HLO text: what it sends between devices, what it moves.

The text of `jax.stages.Compiled.as_text` is the scheduled program after all of XLA's
passes, so what stands there is what runs. A loop's body counts as often as it runs; of
a conditional the larger branch counts; what a fusion keeps inside does not move.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

# Bits of an element, by XLA's name of its type; tokens and opaque handles have none.
_BITS = {"pred": 8, "token": 0, "opaque": 0, "c64": 64, "c128": 128, "bf16": 16}
_ARRAY = re.compile(r"\b([a-z]\w*)\[([^\]]*)\]")
_WIDTH = re.compile(r"[a-z]+(\d+)")
_HEAD = re.compile(r"\s*(ROOT\s+)?%?([\w.\-]+) = ")
_COMPUTATION = re.compile(r"(ENTRY\s+)?%?([\w.\-]+)\s*\(.*\{\s*$")
_OPCODE = re.compile(r"\s*([\w\-]+)\(")
_CALLED = re.compile(
    r"\b(?P<role>calls|to_apply|body|condition|true_computation|false_computation)="
    r"%?(?P<name>[\w.\-]+)"
)
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
# Memory spaces above 0 are on the chip: what lies there does not pass its memory.
_ON_CHIP = re.compile(r"S\([1-9]\d*\)")

COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)
# Custom calls that run a Pallas kernel: `counts` knows what these move.
KERNELS = ("tpu_custom_call", "triton", "mosaic_gpu")
# Instructions that name, but do not touch, what they are given.
_FREE = {
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "after-all",
    "opt-barrier",
    "partition-id",
    "replica-id",
}
_STARTS_WITH_OPERANDS = ("copy-start", "all-gather-start", "collective-permute-start")
_SLICES = ("slice", "dynamic-slice", "gather")


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation.

    Attributes:
        name: unique in its computation.
        opcode: such as ``fusion``.
        shape: the result's, as text; a tuple's in parentheses.
        operands: names.
        rest: what stands behind the operands.
        value: what stands between the parentheses.
        is_root: whether it is its computation's result.
    """

    name: str
    opcode: str
    shape: str
    operands: tuple[str, ...]
    rest: str
    value: str
    is_root: bool

    def called(self, role: str) -> str | None:
        """The computation that it calls as ``role``, such as ``body``."""
        for match in _CALLED.finditer(self.rest):
            if match["role"] == role:
                return match["name"]
        return None

    @property
    def is_kernel(self) -> bool:
        """Whether it runs a Pallas kernel."""
        match = _TARGET.search(self.rest) if self.opcode == "custom-call" else None
        return match is not None and any(name in match[1] for name in KERNELS)


@dataclasses.dataclass(frozen=True)
class Module:
    """A program.

    Attributes:
        entry: name of the computation that runs first.
        computations: name to instructions, in their order.
    """

    entry: str
    computations: Mapping[str, Mapping[str, Instruction]]


@dataclasses.dataclass(frozen=True)
class Total:
    """A sum over everything that runs.

    Attributes:
        bytes: by kind.
        unknown_loops: loops whose number of rounds the text does not tell; their
            bodies are counted once.
    """

    bytes: Mapping[str, int]
    unknown_loops: int

    @property
    def sum(self) -> int:
        """Bytes of all kinds."""
        return sum(self.bytes.values())


def parse(text: str) -> Module:
    """Reads the text of a compiled program.

    Raises:
        ValueError: the text has no entry computation.
    """
    computations: dict[str, dict[str, Instruction]] = {}
    entry = None
    current: dict[str, Instruction] | None = None
    for line in text.splitlines():
        if current is None:
            match = _COMPUTATION.match(line)
            if match and " -> " in line and not line.startswith("HloModule"):
                current = computations.setdefault(match[2], {})
                entry = match[2] if match[1] else entry
        elif line.startswith("}"):
            current = None
        elif instruction := _instruction(line):
            current[instruction.name] = instruction
    if entry is None:
        raise ValueError("the text is not of a compiled program: it has no ENTRY")
    return Module(entry, computations)


def bytes_of(shape: str) -> int:
    """Bytes of a shape's elements, such as ``(f32[2,3]{1,0}, bf16[4])``: 32.

    Padding of a layout's tiles is not counted.
    """
    return sum(_array_bytes(kind, sides) for kind, sides in _ARRAY.findall(shape))


def collectives(module: Module) -> Total:
    """Bytes that a device hands to collectives in one run: their operands, by kind.

    An instruction that is split into a start and a done is counted at its start.
    """

    def cost(instruction: Instruction, siblings: Mapping[str, Instruction]) -> Counter:
        kind = instruction.opcode.removesuffix("-start")
        if kind not in COLLECTIVES:
            return Counter()
        return Counter({kind: _operand_bytes(instruction, siblings)})

    return _total(module, cost, inside_fusions=True)


def moved(module: Module) -> Total:
    """Bytes that pass a device's memory in one run: every result and operand once.

    Arrays that the compiler keeps on the chip are left out, and Pallas kernels, which
    say themselves what they move. Where a fusion only takes a slice of an operand, the
    slice counts. Kinds are opcodes.
    """

    def cost(instruction: Instruction, siblings: Mapping[str, Instruction]) -> Counter:
        done = instruction.opcode.endswith(("-done", "-update"))
        if done or instruction.opcode in _FREE or instruction.is_kernel:
            return Counter()
        size = _result_bytes(instruction, siblings, module)
        size += _read_bytes(instruction, siblings, module)
        return Counter({instruction.opcode.removesuffix("-start"): size})

    return _total(module, cost, inside_fusions=False)


def _instruction(line: str) -> Instruction | None:
    head = _HEAD.match(line)
    if head is None:
        return None
    rest = line[head.end() :]
    end = _closing(rest) + 1 if rest.startswith("(") else rest.find(" ")
    shape, rest = rest[:end], rest[end:]
    opcode = _OPCODE.match(rest)
    if opcode is None:
        return None
    start = opcode.end() - 1
    end = start + _closing(rest[start:])
    value = rest[start + 1 : end]
    names = tuple(part.split()[-1].lstrip("%") for part in _split(value))
    return Instruction(
        name=head[2],
        opcode=opcode[1],
        shape=shape,
        operands=names,
        rest=rest[end + 1 :],
        value=value,
        is_root=head[1] is not None,
    )


def _closing(text: str) -> int:
    """Place of the parenthesis that closes the one that ``text`` begins with."""
    depth = 0
    for match in re.finditer(r"[()]", text):
        depth += 1 if match[0] == "(" else -1
        if depth == 0:
            return match.start()
    return len(text)


def _split(text: str) -> Iterator[str]:
    """Parts between the commas that stand in no brackets."""
    text = re.sub(r"/\*.*?\*/", "", text)
    depth, begin = 0, 0
    for match in re.finditer(r"[(){}\[\],]", text):
        if match[0] != ",":
            depth += 1 if match[0] in "({[" else -1
        elif depth == 0:
            yield text[begin : match.start()]
            begin = match.end()
    if text[begin:].strip():
        yield text[begin:]


def _array_bytes(kind: str, sides: str) -> int:
    if kind in _BITS:
        bits = _BITS[kind]
    else:
        match = _WIDTH.match(kind)  # f32, s8, u4, f8e4m3fn
        if match is None:
            raise ValueError(f"the element type '{kind}' is not known")
        bits = int(match[1])
    count = 1
    for side in filter(None, sides.split(",")):
        count *= int(side.strip().removeprefix("<="))
    return (count * bits + 7) // 8


def _off_chip(shape: str) -> int:
    """Bytes of a shape's arrays that lie in the device's memory."""
    return sum(
        0 if _ON_CHIP.search(part) else bytes_of(part)
        for part in _split(shape[1:-1] if shape.startswith("(") else shape)
    )


def _operand_bytes(
    instruction: Instruction, siblings: Mapping[str, Instruction]
) -> int:
    return sum(bytes_of(siblings[name].shape) for name in instruction.operands)


def _result_bytes(
    instruction: Instruction, siblings: Mapping[str, Instruction], module: Module
) -> int:
    """What an instruction writes; an update in place writes the update alone."""
    opcode = instruction.opcode
    if opcode == "dynamic-update-slice":
        return _off_chip(siblings[instruction.operands[1]].shape)
    if opcode in _STARTS_WITH_OPERANDS:
        # Operands and results stand in one tuple: the operands are read, not written.
        inputs = sum(_off_chip(siblings[n].shape) for n in instruction.operands)
        return max(_off_chip(instruction.shape) - inputs, 0)
    callee = instruction.called("calls") if opcode == "fusion" else None
    if callee is not None:
        body = module.computations[callee]
        root = _root(body)
        if root.opcode == "dynamic-update-slice" and not _ON_CHIP.search(root.shape):
            return _off_chip(body[root.operands[1]].shape)
    return _off_chip(instruction.shape)


def _read_bytes(
    instruction: Instruction, siblings: Mapping[str, Instruction], module: Module
) -> int:
    """What an instruction reads of its operands."""
    opcode = instruction.opcode
    if opcode in _SLICES:
        first = siblings[instruction.operands[0]]
        return 0 if _ON_CHIP.search(first.shape) else _off_chip(instruction.shape)
    operands = [siblings[name] for name in instruction.operands]
    if opcode == "dynamic-update-slice":
        operands = operands[1:]
    callee = instruction.called("calls") if opcode == "fusion" else None
    body = module.computations[callee] if callee is not None else {}
    places = {i.value: i.name for i in body.values() if i.opcode == "parameter"}
    total = 0
    for place, operand in enumerate(operands):
        size = _off_chip(operand.shape)
        inside = places.get(str(place))
        if size and inside is not None:
            size = min(size, _used(inside, body))
        total += size
    return total


def _used(parameter: str, body: Mapping[str, Instruction]) -> int:
    """Bytes that a fusion takes from a parameter: all of it, or the slices it cuts."""
    total = 0
    for user in (i for i in body.values() if parameter in i.operands):
        if user.opcode in _SLICES and user.operands[0] == parameter:
            total += bytes_of(user.shape)
        elif user.opcode == "dynamic-update-slice" and user.operands[0] == parameter:
            continue  # written in place
        else:
            return bytes_of(body[parameter].shape)
    return total


Cost = Callable[[Instruction, Mapping[str, Instruction]], Counter]


def _total(module: Module, cost: Cost, *, inside_fusions: bool) -> Total:
    """Adds up ``cost`` over everything that runs, loops as often as they do."""
    known: dict[str, tuple[Counter, int]] = {}

    def of(name: str) -> tuple[Counter, int]:
        if name in known:
            return known[name]
        total, unknown = Counter[str](), 0
        siblings = module.computations[name]
        for instruction in siblings.values():
            parts = [(cost(instruction, siblings), 0)]
            times = 1
            if instruction.opcode == "while":
                parts = [of(_named(instruction, r)) for r in ("body", "condition")]
                trips = _trips(instruction, module)
                times, unknown = trips or 1, unknown + (trips is None)
            elif instruction.opcode == "conditional":
                branches = [of(branch) for branch in _branches(instruction)]
                parts = [max(branches, key=lambda found: found[0].total())]
            elif instruction.opcode in ("call", "async-start"):
                callee = instruction.called("to_apply") or instruction.called("calls")
                parts = [of(callee)] if callee else parts
            elif instruction.opcode == "fusion" and inside_fusions:
                parts = [of(_named(instruction, "calls"))]
            for found, loops in parts:
                total.update({kind: size * times for kind, size in found.items()})
                unknown += loops
        known[name] = (total, unknown)
        return known[name]

    total, unknown = of(module.entry)
    return Total(dict(+total), unknown)


def _root(body: Mapping[str, Instruction]) -> Instruction:
    return next(i for i in body.values() if i.is_root)


def _named(instruction: Instruction, role: str) -> str:
    name = instruction.called(role)
    if name is None:
        raise ValueError(f"{instruction.opcode} {instruction.name} has no {role}")
    return name


def _branches(instruction: Instruction) -> list[str]:
    if match := _BRANCHES.search(instruction.rest):
        return [name.strip().lstrip("%") for name in match[1].split(",")]
    return [_named(instruction, f"{word}_computation") for word in ("true", "false")]


def _trips(instruction: Instruction, module: Module) -> int | None:
    """Rounds of a loop: what XLA notes, or the bound of a counter from 0 in steps of 1.

    TPU programs have no note. `lax.scan` and `fori_loop` count from 0 in steps of 1.
    """
    if match := _TRIPS.search(instruction.rest):
        return int(match[1])
    condition = module.computations[_named(instruction, "condition")]
    root = _root(condition)
    if root.opcode != "compare" or "direction=LT" not in root.rest:
        return None
    bound = condition[root.operands[1]]
    counts = condition[root.operands[0]].opcode == "get-tuple-element"
    if bound.opcode != "constant" or not counts or not bound.value.isdigit():
        return None
    return int(bound.value)
