"""OpenVINO's files: what is read, and that damaged and hostile ones are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openvino_files import GraphFile

from stylegan_jax.convert_torch.readers import openvino
from stylegan_jax.errors import UserError

RAW = np.arange(6, dtype=np.float32).reshape(2, 3)


def small():
    g = GraphFile("tiny")
    x = g.add("Parameter", shapes=[(1, 3)], shape="1, 3", element_type="f32")
    half = g.const(RAW.astype(np.float16))
    split = g.add("Split", [x, half], [(1, 2), (1, 1)], axis="1")
    g.add("Add", [(split[0], 1), g.const(RAW)], [(2, 3)], auto_broadcast="numpy")
    return g


def read(folder, g=None, *, text=None, data=None):
    g = g or small()
    g.write(folder)
    if text is not None:
        (folder / "tiny.xml").write_bytes(text)
    if data is not None:
        (folder / "tiny.bin").write_bytes(data)
    return openvino.read_openvino(folder / "tiny.xml", folder / "tiny.bin")


def refused(folder, g=None, **changed):
    with pytest.raises(UserError) as error:
        read(folder, g, **changed)
    text = str(error.value)
    assert "tiny.xml" in text and text.endswith(".")
    return text


def test_layers_edges_and_constants(tmp_path):
    network = read(tmp_path)
    assert network.name == "tiny"
    kinds = {n: layer.kind for n, layer in network.layers.items()}
    assert kinds == {"0": "Parameter", "1": "Const", "2": "Split", "3": "Const",
                     "4": "Add"}  # fmt: skip
    split, total = network.layers["2"], network.layers["4"]
    assert split.attributes == {"axis": "1"} and split.shapes == ((1, 2), (1, 1))
    # The split has two inputs, so its outputs are the ports 2 and 3.
    assert total.inputs == (("2", 3), ("3", 0)) and total.name == "Add_4"
    assert set(network.tensors) == {"1", "3"}
    np.testing.assert_array_equal(network.tensors["3"].array(), RAW)
    assert network.tensors["1"].dtype == np.float16
    np.testing.assert_array_equal(network.tensors["1"].array(), RAW)


def test_inputs_are_in_the_order_of_their_ports(tmp_path):
    g = small()
    head, tail = g.text().split("<edges>")
    edges, end = tail.split("</edges>")
    turned = "\n".join(reversed(edges.strip().splitlines()))
    found = read(tmp_path, g, text=f"{head}<edges>{turned}</edges>{end}".encode())
    assert found.layers["4"].inputs == (("2", 3), ("3", 0))


ENTITIES = {
    "document type": b'<!DOCTYPE net SYSTEM "http://a/b.dtd"><net name="a"/>',
    "bomb": b'<!DOCTYPE net [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><net>&b;</net>',
    "file": b'<!DOCTYPE net [<!ENTITY a SYSTEM "file:///etc/hosts">]><net>&a;</net>',
}


@pytest.mark.parametrize("text", ENTITIES.values(), ids=ENTITIES)
def test_entities_are_refused(text, tmp_path):
    assert "a document type or an entity" in refused(tmp_path, text=text)


ODD = {
    "no XML": (b"weights", "no XML"),
    "nothing": (b"", "no XML"),
    "a page": (b"<html></html>", "no OpenVINO network"),
    "version": (b'<net name="a" version="3"/>', "version '3'"),
    "no layers": (b'<net name="a" version="10"><edges/></net>', "parts 'layers'"),
    "deep": (b"<a>" * 100 + b"</a>" * 100, "more elements than any"),
    "long": (b'<net name="' + b"a" * 10_000 + b'"/>', "longer texts than any"),
    "encoding": (b'<?xml version="1.0" encoding="klingon"?><net/>', "."),
}


@pytest.mark.parametrize(("text", "words"), ODD.values(), ids=ODD)
def test_other_files(text, words, tmp_path):
    assert words in refused(tmp_path, text=text)


def changed(kind, **values):
    """The small graph with some settings of an operation exchanged."""
    g = small()
    g.find(kind).attributes.update(values)
    return g


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"shape": "3, 3"}, "has 12 bytes instead of 18"),
        ({"shape": "-2, 3"}, "'-2' is no number"),
        ({"shape": "99999999999, 99999999999"}, "bytes instead of"),
        ({"shape": ", ".join("1" * 40), "size": "2"}, "an impossible shape"),
        ({"offset": "30"}, "is cut short"),
        ({"offset": "1e3"}, "'1e3' is no number"),
        ({"offset": "9" * 30}, "is no number"),
        ({"element_type": "u1"}, "elements of type 'u1'"),
    ],
)
def test_constants_that_contradict_themselves(values, words, tmp_path):
    assert words in refused(tmp_path, changed("Const", **values))


def test_a_constant_without_a_place(tmp_path):
    g = small()
    del g.find("Const").attributes["offset"]
    assert "has no offset" in refused(tmp_path, g)


def test_edges_that_end_nowhere(tmp_path):
    for old, new in (('to-layer="4"', 'to-layer="9"'), ('-layer="3"', '-layer="9"')):
        text = small().text().replace(old, new).encode()
        assert "an edge ends at a layer that is not there" in refused(
            tmp_path, text=text
        )
    text = small().text().replace('to-port="1"', 'to-port="0"').encode()
    assert "two edges end at one port" in refused(tmp_path, text=text)
    text = small().text().replace('layer id="3"', 'layer id="1"').encode()
    assert "two layers have the number" in refused(tmp_path, text=text)


def test_missing_and_cut_files(tmp_path):
    assert "is cut short" in refused(tmp_path, data=b"")
    (tmp_path / "tiny.bin").unlink()
    with pytest.raises(UserError, match="there is no file .*tiny.bin"):
        openvino.read_openvino(tmp_path / "tiny.xml", tmp_path / "tiny.bin")
    with pytest.raises(UserError, match="there is no file .*other.xml"):
        openvino.read_openvino(tmp_path / "other.xml", tmp_path / "tiny.bin")
    with pytest.raises(UserError, match="cannot read"):
        openvino.read_openvino(tmp_path, tmp_path / "tiny.bin")


def test_a_graph_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(openvino, "MAX_XML_BYTES", 10)
    assert "larger than any graph" in refused(tmp_path)


TEXT, DATA = small().text().encode(), bytes(small().data)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_ends_in_a_sentence(tmp_path_factory, data):
    text = bytearray(TEXT[: data.draw(st.integers(0, len(TEXT)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if text:
            place = data.draw(st.integers(0, len(text) - 1))
            text[place] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.getbasetemp()
    (folder / "tiny.xml").write_bytes(text)
    (folder / "tiny.bin").write_bytes(DATA[: data.draw(st.integers(0, len(DATA)))])
    try:
        network = openvino.read_openvino(folder / "tiny.xml", folder / "tiny.bin")
    except UserError as error:
        assert str(error).endswith(".")
    else:
        for tensor in network.tensors.values():
            assert tensor.array().size == tensor.size
