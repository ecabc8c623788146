"""Files that want something done: refused by name, and nothing is done."""

from __future__ import annotations

import os
import pickle
import struct
import time
import zipfile

import numpy as np
import pytest
import torch_files
from torch_files import Call, Made, Named, Persistent, Raw

from stylegan_jax.convert_torch.readers import read_bytes, read_checkpoint
from stylegan_jax.errors import UserError

CANARY = "canary"
COMMAND = f"touch {CANARY}"
SOURCE = f"import os; os.system('{COMMAND}')"


def _lines(*parts):
    return "".join(parts).encode()


ATTACKS = {
    "os.system": Call("os.system", (COMMAND,)),
    "posix.system": Call("posix.system", (COMMAND,)),
    "nt.system": Call("nt.system", (COMMAND,)),
    "subprocess.Popen": Call("subprocess.Popen", (COMMAND,)),
    "builtins.eval": Call("builtins.eval", ("1",)),
    "__builtin__.exec": Call("__builtin__.exec", ("1",)),
    "builtins.getattr": Call("builtins.getattr", (Named("torch.Tensor"), "x")),
    "builtins.__import__": Call("builtins.__import__", ("os",)),
    "builtins.map": Call("builtins.map", (Named("torch.Size"), [])),
    "builtins.open": Call("builtins.open", (CANARY, "w")),
    "pathlib.os.system": Call("pathlib.os.system", (COMMAND,)),
    "pty.spawn": Call("pty.spawn", ("/bin/sh",)),
    "runpy._run_code": Call("runpy._run_code", ("1", {})),
    "importlib.import_module": Call("importlib.import_module", ("os",)),
    "pickle.loads": Call("pickle.loads", (b"",)),
    "operator.attrgetter": Call("operator.attrgetter", ("system",)),
    "functools.reduce": Call("functools.reduce", (Named("torch.Size"), [])),
    "ctypes.CDLL": Call("ctypes.CDLL", ("libc.so.6",)),
    "torch.hub.load": Call("torch.hub.load", ("a/b", "c")),
    "torch.load": Call("torch.load", (CANARY,)),
    "numpy.load": Call("numpy.load", (CANARY,)),
    "numpy.f2py.capi_maps.getinit": Call("numpy.f2py.capi_maps.getinit", ()),
    "some.where.function": Call("some.where.function"),
    "collections.namedtuple": Call("collections.namedtuple", ("a", "b")),
    "os.environ": Named("os.environ"),
    "sys.modules": Named("sys.modules"),
    "numpy.load of a stub": Raw(b"cnumpy\nload\n)\x81)R"),
    "a call of the result": Raw(b"cfunctools\npartial\n(ctorch\nload\ntR)R"),
    "a partial": Call("functools.partial", (Named("os.system"), COMMAND)),
    "a nested reduce": [{"x": (Call("torch.Size", (Call("os.system", (COMMAND,)),)),)}],
    "INST": Raw(_lines("(S'", COMMAND, "'\nios\nsystem\n")),
    "OBJ": Raw(_lines("(cos\nsystem\nS'", COMMAND, "'\no")),
    "INST of an unknown class": Raw(b"(I1\nisome.where\nThing\n"),
    "NEWOBJ": Made("os._wrap_close", args=(COMMAND,)),
    "NEWOBJ of a function": Made("torch._utils._rebuild_parameter"),
    "NEWOBJ_EX": Raw(b"csubprocess\nPopen\n)}\x92"),
    "STACK_GLOBAL": Raw(b"\x8c\x02os\x8c\x06system\x93\x8c\x01a\x85R"),
    "a dotted name": Raw(b"\x8c\x05torch\x8c\x09os.system\x93\x8c\x01a\x85R"),
    "a registry of extensions": Raw(b"\x82\x01"),
    "a buffer outside": Raw(b"\x97"),
    "a persistent id": Persistent(("file", CANARY)),
    "a persistent id in text": Raw(b"Pfile\n"),
    "a state with a setter": Made(
        "builtins.object", {"__setstate__": Named("os.system")}
    ),
    "a state that sets a class": Raw(
        b"csome\nThing\n)\x81}(X\t\x00\x00\x00__class__cos\nsystem\nub"
    ),
    "a default factory": Call("collections.defaultdict", (Named("os.system"),)),
    "a reconstructor": Call(
        "copyreg._reconstructor", (Named("os.system"), Named("builtins.object"), None)
    ),
    "another codec": Call("_codecs.encode", ("x", "zlib_codec")),
    "a subclass's builder": Call(
        "torch._tensor._rebuild_from_type_v2",
        (Named("some.where.function"), Named("torch.Tensor"), (), {}),
    ),
    "a persistent object's hook": Call(
        "torch_utils.persistence._reconstruct_persistent_obj.x", ()
    ),
    "objects in an array": Call("numpy.dtype", ("O8", False, True)),
    "an array class": Call(
        "numpy.core.multiarray._reconstruct", (Named("numpy.matrix"), (0,), b"b")
    ),
    "in the data of a tensor": Call(
        "torch.storage._load_from_bytes",
        (torch_files.torch_legacy(Call("os.system", (COMMAND,))),),
    ),
    "in a file in a file in a file": Call(
        "torch.storage._load_from_bytes",
        (
            torch_files.pickled(
                Call(
                    "torch.storage._load_from_bytes",
                    (
                        torch_files.pickled(
                            Call("torch.storage._load_from_bytes", (b"\x80\x02N.",))
                        ),
                    ),
                )
            ),
        ),
    ),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working directory that must stay so."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / CANARY).exists()


@pytest.mark.parametrize("container", ["pickle", "zip", "legacy"])
@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused(folder, name, container):
    tree = ATTACKS[name]
    path = folder / "a.pt"
    if container == "zip":
        torch_files.write_torch_zip(path, tree)
    elif container == "legacy":
        torch_files.write_torch_legacy(path, tree)
    else:
        path.write_bytes(torch_files.pickled(tree))
    with pytest.raises(UserError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert "which reading weights never needs" in message
    assert str(path) in message
    if "." in name and " " not in name:
        assert name in message or name.replace("__builtin__", "builtins") in message


@pytest.mark.parametrize("protocol", range(6))
def test_pythons_own_pickle_of_a_call_is_refused(protocol):
    class Attack:
        def __reduce__(self):
            return os.system, (COMMAND,)

    data = pickle.dumps({"weights": [Attack()]}, protocol)
    with pytest.raises(UserError, match=r"(posix|nt)\.system"):
        read_bytes(data, "a.pkl")


def test_source_text_in_nvidias_pickles_is_not_run():
    state = torch_files.module_state(_orig_module_src=SOURCE)
    data = torch_files.pickled(torch_files.persistent("Generator", state))
    assert read_bytes(data, "a.pkl").root.class_name == "Generator"


def test_code_beside_torchscript_is_not_read(folder):
    torch_files.write_torch_zip(folder / "a.pt", Made("__torch__.Net", {}))
    with zipfile.ZipFile(folder / "a.pt", "a") as archive:
        attack = torch_files.pickled(Named("os.system"))
        archive.writestr("archive/constants.pkl", attack)
        archive.writestr("archive/code/__torch__.py", SOURCE)
    assert read_checkpoint(folder / "a.pt").container == "torchscript"


TENSOR = "torch._utils._rebuild_tensor_v2"
SMALL = ("storage", Named("torch.FloatStorage"), "0", "cpu", 4)
HUGE = ("storage", Named("torch.FloatStorage"), "0", "cpu", 2_500_000_000)
KIND = Call("numpy.dtype", ("f4", False, True))


def _filled(state):
    args = (Named("numpy.ndarray"), (0,), b"b")
    empty = torch_files.pickled(Call("numpy.core.multiarray._reconstruct", args))[2:-1]
    return Raw(empty + torch_files.pickled(state)[2:-1] + b"b")


CLAIMS = {
    "a NumPy array": _filled((1, (2_500_000_000,), KIND, False, b"1234")),
    "a NumPy buffer": Call(
        "numpy.core.numeric._frombuffer", (b"1234", KIND, (2_500_000_000,), "C")
    ),
    "an endless shape": _filled((1, (2**63,) * 32, KIND, False, b"1234")),
    "a negative shape": _filled((1, (-1, -1), KIND, False, b"1234")),
    "a shape of many axes": _filled((1, (1,) * 1000, KIND, False, b"1234")),
    "a storage": Call(TENSOR, (Persistent(HUGE), 0, (4,), (1,), False, {})),
    "a tensor": Call(TENSOR, (Persistent(SMALL), 0, (2_500_000_000,), (1,), False, {})),
    "a repeated element": Call(
        TENSOR, (Persistent(SMALL), 0, (2_500_000_000,), (0,), False, {})
    ),
    "an offset": Call(TENSOR, (Persistent(SMALL), 10**10, (1,), (1,), False, {})),
    "a negative offset": Call(TENSOR, (Persistent(SMALL), -1, (1,), (1,), False, {})),
    "a negative stride": Call(TENSOR, (Persistent(SMALL), 3, (2,), (-1,), False, {})),
    "a tensor of bools": Call(TENSOR, (Persistent(SMALL), True, (1,), (1,), False, {})),
    "BINBYTES8": Raw(b"\x8e" + struct.pack("<Q", 10**10)),
    "BINUNICODE8": Raw(b"\x8d" + struct.pack("<Q", 10**10)),
    "BYTEARRAY8": Raw(b"\x96" + struct.pack("<Q", 10**10)),
    "BINBYTES": Raw(b"B" + struct.pack("<I", 2**32 - 1)),
    "BINSTRING": Raw(b"T" + struct.pack("<i", -5)),
    "LONG4": Raw(b"\x8b" + struct.pack("<i", 2**31 - 1)),
    "a long LONG4": Raw(b"\x8b" + struct.pack("<i", 5000) + bytes(5000)),
    "a long LONG": Raw(b"L" + b"9" * 5000 + b"L\n"),
    "FRAME": Raw(b"\x95" + struct.pack("<Q", 2**63) + b"N"),
    "an empty bytearray of 10 GB": Call("builtins.bytearray", (10**10,)),
    "bytes of 10 GB": Call("builtins.bytes", (10**10,)),
    "a list of a range": Call("builtins.list", (Call("builtins.range", (10**10,)),)),
    "a long text as a scalar": Call(
        "numpy.core.multiarray.scalar", (Call("numpy.dtype", ("U9999",)), b"1234")
    ),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_large_claims_take_no_memory(folder, name):
    path = folder / "a.pt"
    torch_files.torch_zip(path, [np.zeros(4, np.float32), CLAIMS[name]])
    begin = time.monotonic()
    with pytest.raises(UserError, match="damaged|cut short") as caught:
        read_checkpoint(path)
    assert time.monotonic() - begin < 10
    assert len(str(caught.value)) < 400


def test_a_far_memory_index_costs_nothing():
    data = b"\x80\x02Nr\xff\xff\xff\xff0j\xff\xff\xff\xff."
    assert read_bytes(data, "a.pkl").root is None


ENDLESS = {
    "deep lists": b"]" * 100_000 + b"a" * 99_999,
    "deep tuples": b")" + b"\x85" * 100_000,
    "deep dicts": b"}" + b"N}" * 5000 + b"s" * 5000,
    "a deep key": b"}" + b")" + b"\x85" * 100_000 + b"Ns",
    "a long key": b"}(" + b"N" * 1000 + b"tNs",
    "a list as a key": b"}]Ns",
    "a set of lists": b"\x8f(]\x90",
    "too many instructions": b"N0" * 2_500_000 + b"N",
    "text that is copied again and again": (
        b"c_codecs\nencode\nq\x00"
        + b"(X\x40\x42\x0f\x00"
        + b"a" * 1_000_000
        + b"X\x06\x00\x00\x00latin1tq\x01R"
        + b"0h\x00h\x01R" * 1000
    ),
    "two states": b"csome\nThing\n)\x81}b}b",
    "odd entries": b"}(Nu",
    "entries of a list": b"](NNu",
    "elements of a dict": b"}(Ne",
    "elements of a tuple": b")Na",
    "a call without a tuple": b"ctorch\nSize\n]R",
    "protocol 6": b"\x80\x06N",
    "nothing": b"",
    "an empty stack": b"0",
    "a missing mark": b"t",
    "a mark left over": b"N(N",
    "an absent memory": b"h\x00",
    "an unknown instruction": b"\xff",
    "bytes after": b"N.N",
    "a number that is none": b"Iabc\n",
    "a float that is none": b"Fabc\n",
    "text that is none": b"X\x01\x00\x00\x00\xff",
    "a string without quotes": b"Sabc\n",
    "a string with an escape": b"S'\\q'\n",
    "a line without end": b"S'abc",
    "a name with spaces": b"cnot a module\nname\n",
    "a name of numbers": b"I1\nI2\n\x93",
}


@pytest.mark.parametrize("name", ENDLESS)
def test_malformed_pickles_are_told_from_others(name):
    begin = time.monotonic()
    with pytest.raises(UserError) as caught:
        read_bytes(b"\x80\x04" + ENDLESS[name] + b".", "a.pkl")
    assert time.monotonic() - begin < 20
    assert len(str(caught.value)) < 400


def test_a_list_in_itself_is_read():
    root = read_bytes(b"\x80\x02]q\x00h\x00a.", "a.pkl").root
    assert root[0] is root
