"""The kernels of a compiled GPU program, read off its text after all of XLA's passes. Pure.

What a loop runs counts by the loop's trips. Bytes are those that a kernel has to move: of a buffer
that it only slices or gathers from, the slices; of one that it updates in place, the update.
"""

import dataclasses
import functools
import math
import re

_FREE = frozenset(
    {
        "add-dependency",
        "after-all",
        "bitcast",
        "constant",
        "domain",
        "get-tuple-element",
        "opt-barrier",
        "parameter",
        "partition-id",
        "replica-id",
        "tuple",
    }
)
"""Instructions that run nothing on the device."""
_FREE_TARGETS = frozenset({"AllocateBuffer", "Sharding", "annotate_device_placement"})
_SLICES = frozenset({"dynamic-slice", "slice", "gather"})
_RADIX_PASSES = 4
"""Times that a sort reads and writes what it sorts: 8 of 32 bits each."""

_BYTES = {"pred": 1, "s4": 0.5, "u4": 0.5, "bf16": 2, "f16": 2, "c64": 8, "c128": 16, "token": 0}
_HEAD = re.compile(r"^(ENTRY )?%?([\w.-]+) .*\{$")
_NAME = re.compile(r"^\s+(ROOT )?%?([\w.-]+) = ")
_SHAPE = re.compile(r"\b(pred|token|bf16|[a-z]+\d+\w*)\[([\d,]*)\]")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_TARGET = re.compile(r'custom_call_target="([^"]+)"')
_CALLED = re.compile(r"\b(?:to_apply|calls)=%?([\w.-]+)")
_BODY = re.compile(r"\bbody=%?([\w.-]+)")
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")
_EITHER = re.compile(r"\b(?:true|false)_computation=%?([\w.-]+)")
_CONTRACTED = re.compile(r"\blhs_contracting_dims=\{([\d,]*)\}")
_GEMM_CONTRACTED = re.compile(r'"lhs_contracting_dimensions":\[([^\]]*)\]')
_KERNEL_LABELS = re.compile(r"\bdim_labels=\w+_(\w+)->")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction. `shapes` are those of its results, as (type, dimensions)."""

    name: str
    opcode: str
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    operands: tuple[str, ...]
    line: str
    is_root: bool

    @property
    def bytes(self) -> float:
        """Bytes of all results."""
        return sum(math.prod(sizes) * _width(name) for name, sizes in self.shapes)


Computation = dict[str, Instruction]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeviceKernel:
    """One kernel: the kind of its instruction, and how often an update launches it.

    `bytes` and `flops` are those of one launch; `flops` are of products and convolutions alone.
    """

    opcode: str
    times: int
    bytes: float
    flops: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The kernels of one program.

    `unknown_loops` is the number of loops whose trips the compiler does not tell; each counts as
    one trip.
    """

    kernels: tuple[DeviceKernel, ...]
    unknown_loops: int


def program(text: str) -> Program:
    """Return the kernels of a program from its text.

    Raises:
        ValueError: if it is no such text.
    """
    computations, entry = _computations(text)
    found: list[DeviceKernel] = []
    unknown = 0

    def walk(name: str, times: int) -> None:
        nonlocal unknown
        own = computations[name]
        for one in own.values():
            if one.opcode == "while":
                trips, body = _TRIPS.search(one.line), _BODY.search(one.line)
                assert body is not None
                unknown += trips is None
                walk(body[1], times * (int(trips[1]) if trips else 1))
            elif one.opcode == "conditional":
                walk(_costliest(computations, one.line), times)
            elif one.opcode in {"call", "async-start"} and (called := _CALLED.search(one.line)):
                walk(called[1], times)
            elif not _is_free(one):
                moved, flops = _work(one, own, computations)
                found.append(DeviceKernel(opcode=one.opcode, times=times, bytes=moved, flops=flops))

    walk(entry, 1)
    return Program(kernels=tuple(found), unknown_loops=unknown)


def _computations(text: str) -> tuple[dict[str, Computation], str]:
    """Return each computation's instructions by their names, and the name of the entry."""
    found: dict[str, Computation] = {}
    current: Computation = {}
    entry = ""
    for line in text.splitlines():
        if not line.startswith((" ", "}")) and (head := _HEAD.match(line)):
            current = found.setdefault(head[2], {})
            entry = head[2] if head[1] else entry
        elif line.startswith(" ") and (one := _instruction(line)):
            current[one.name] = one
    if not entry:
        raise ValueError("not the text of a compiled program: it has no ENTRY.")
    return found, entry


def _instruction(line: str) -> Instruction | None:
    """Return the instruction of `%name = type opcode(operands)`; a tuple's type is in brackets."""
    name = _NAME.match(line)
    if name is None:
        return None
    rest = line[name.end() :]
    results, rest = _bracketed(rest) if rest.startswith("(") else _word(rest)
    opcode, bracket, _ = rest.strip().partition("(")
    if not bracket:
        return None
    inside, _ = _bracketed(rest[rest.index("(") :])
    return Instruction(
        name=name[2],
        opcode=opcode,
        shapes=tuple(
            (kind, tuple(int(size) for size in sizes.split(",") if size))
            for kind, sizes in _SHAPE.findall(results)
        ),
        operands=tuple(re.findall(r"%([\w.-]+)", inside)),
        line=line,
        is_root=bool(name[1]),
    )


def _bracketed(text: str) -> tuple[str, str]:
    """Return what the bracket at the start of a text encloses, and what comes after it."""
    depth = 0
    for bracket in re.finditer(r"[()]", text):
        depth += 1 if bracket[0] == "(" else -1
        if depth == 0:
            return text[1 : bracket.start()], text[bracket.end() :]
    return text[1:], ""


def _word(text: str) -> tuple[str, str]:
    word, _, rest = text.partition(" ")
    return word, rest


@functools.cache
def _width(kind: str) -> float:
    """Return the bytes of one element."""
    if kind in _BYTES:
        return _BYTES[kind]
    bits = re.match(r"[a-z]+(\d+)", kind)
    return int(bits[1]) / 8 if bits else 0


def _is_free(one: Instruction) -> bool:
    """Return whether nothing is launched: the end of what `-start` launched is a wait."""
    if one.opcode in _FREE or one.opcode.endswith("-done"):
        return True
    target = _TARGET.search(one.line) if one.opcode == "custom-call" else None
    return target is not None and target[1] in _FREE_TARGETS


def _costliest(computations: dict[str, Computation], line: str) -> str:
    listed = _BRANCHES.search(line)
    names: list[str] = re.findall(r"[\w.-]+", listed[1]) if listed else _EITHER.findall(line)
    return max(names, key=lambda name: len(computations[name]))


def _work(
    one: Instruction, own: Computation, computations: dict[str, Computation]
) -> tuple[float, float]:
    """Return the bytes that one launch moves, and its floating point operations."""
    called = _CALLED.search(one.line) if one.opcode == "fusion" else None
    if called is None:
        alone = {name: own[name] for name in one.operands if name in own}
        fed = {name: dataclasses.replace(fed, opcode="parameter") for name, fed in alone.items()}
        inside = fed | {one.name: dataclasses.replace(one, is_root=True)}
    else:
        inside = computations[called[1]]
    parameters = [i for i in inside.values() if i.opcode == "parameter"]
    moved = sum(_read(parameter, inside) for parameter in parameters)
    moved += sum(_written(i, inside) for i in inside.values() if i.is_root)
    sorted_bytes = sum(i.bytes for i in inside.values() if i.opcode == "sort")
    moved += 2 * (_RADIX_PASSES - 1) * sorted_bytes
    return moved, sum(_flops(i, inside) for i in inside.values())


def _read(source: Instruction, inside: Computation) -> float:
    """Return how many bytes of a parameter are read."""
    read = 0.0
    for user in inside.values():
        if source.name not in user.operands:
            continue
        if user.opcode == "bitcast":
            read += _read(user, inside)
        elif user.opcode in _SLICES and user.operands[0] == source.name:
            read += user.bytes
        elif user.opcode != "dynamic-update-slice" or user.operands[0] != source.name:
            return source.bytes
    return min(read, source.bytes)


def _written(root: Instruction, inside: Computation) -> float:
    """Return how many bytes of a result are written."""
    if root.opcode in {"tuple", "bitcast"}:
        return sum(_written(inside[name], inside) for name in root.operands if name in inside)
    if root.opcode == "dynamic-update-slice" and root.operands[1] in inside:
        return inside[root.operands[1]].bytes
    return root.bytes


def _flops(one: Instruction, inside: Computation) -> float:
    """Return the operations of a product or a convolution; else 0."""
    factors = [inside[name].shapes[0][1] for name in one.operands[:2] if name in inside]
    if one.opcode == "convolution" or "__cudnn$conv" in one.line:
        labels = _KERNEL_LABELS.search(one.line)
        if labels is None or len(factors) < 2:
            return 0.0
        outputs = factors[1][labels[1].index("o")]
        return 2.0 * math.prod(one.shapes[0][1]) * math.prod(factors[1]) / max(1, outputs)
    contracted = _CONTRACTED.search(one.line) if one.opcode == "dot" else None
    if "__cublas" in one.line:
        contracted = _GEMM_CONTRACTED.search(one.line)
    if contracted is None or not factors:
        return 0.0
    places = [int(place) for place in re.findall(r"\d+", contracted[1])]
    return 2.0 * math.prod(one.shapes[0][1]) * math.prod(factors[0][place] for place in places)
