import pickle
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stylegan_jax.data import images, prepare, sources
from stylegan_jax.data.check import check
from stylegan_jax.data.crc32c import masked_crc32c
from stylegan_jax.data.dataset import open_dataset
from stylegan_jax.data.tfrecord_source import parse_example
from stylegan_jax.errors import UserError


def varint(number):
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def integers(values, packed=True):
    if packed:
        return field(3, field(1, b"".join(map(varint, values))))
    return field(3, b"".join(varint(1 << 3) + varint(v) for v in values))


def example(**features):
    """A serialised Example of features that are serialised themselves."""
    return field(
        1,
        b"".join(
            field(1, field(1, name.encode()) + field(2, value))
            for name, value in features.items()
        ),
    )


def record_of(array, packed=True):
    """[H, W, C] uint8 as NVIDIA's programs store it."""
    planes = np.ascontiguousarray(array.transpose(2, 0, 1))
    return example(
        shape=integers(planes.shape, packed), data=field(1, field(1, planes.tobytes()))
    )


def framed(data):
    length = struct.pack("<Q", len(data))
    sums = [struct.pack("<I", masked_crc32c(part)) for part in (length, data)]
    return length + sums[0] + data + sums[1]


def save(file, array, **options):
    """np.save would add an ending to a name."""
    with file.open("wb") as stream:
        np.save(stream, array, **options)


def write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(map(framed, records)))
    return path


def pictures(num, side=16, channels=3):
    rng = np.random.default_rng(side + channels)
    return rng.integers(0, 256, (num, side, side, channels), np.uint8)


@pytest.fixture
def faces(tmp_path):
    """A set of two resolutions with one-hot labels."""
    folder = tmp_path / "faces"
    for level in (3, 4):
        rows = [record_of(x) for x in pictures(5, 2**level)]
        write(folder / f"faces-r{level:02d}.tfrecords", rows)
    rows = np.eye(3, dtype=np.float32)[[0, 2, 1, 2, 0]]
    save(folder / "faces-rxx.labels", rows)
    return folder


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("packed", [True, False])
def test_pixels_come_back_as_they_were(tmp_path, channels, packed):
    want = pictures(3, 16, channels)
    file = write(tmp_path / "x-r04.tfrecords", [record_of(x, packed) for x in want])
    source = sources.open_source(file)
    assert len(source) == 3 and source.kind == "tfrecord" and source.name == "x"
    for i in range(3):
        image = images.decode(source.read(i), "x", channels=channels)
        np.testing.assert_array_equal(images.to_array(image), want[i])
    assert pickle.loads(pickle.dumps(source)).read(2) == source.read(2)


def test_the_largest_resolution_unless_asked(faces):
    def side(path):
        return images.read_header(sources.open_source(path).read(0), "x").height

    assert side(faces) == 16 and side(f"{faces}@8") == 8
    assert side(faces / "faces-r03.tfrecords") == 8
    with pytest.raises(UserError, match="size 32: choose from 8, 16"):
        sources.open_source(f"{faces}@32")
    with pytest.raises(UserError, match="is one file"):
        sources.open_source(f"{faces / 'faces-r03.tfrecords'}@8")


def test_prepare_and_training_take_it(faces, tmp_path):
    assert check(str(faces)).ok
    done = prepare.prepare(str(faces), str(tmp_path / "x.zip"), resolution=16)
    assert done.num_images == done.labelled == 5 and done.shape == (16, 16, 3)
    packed = sources.open_source(done.path)
    for i, want in enumerate(pictures(5)):
        image = images.decode(packed.read(i), "x")
        np.testing.assert_array_equal(images.to_array(image), want)
    assert list(packed.labels().values()) == [0, 2, 1, 2, 0]
    assert len(open_dataset(str(faces), cache_dir=tmp_path / "cache")) == 5


def test_labels_are_classes_or_vectors(faces):
    def found(array, **options):
        save(faces / "faces-rxx.labels", array, **options)
        return sources.open_source(faces).labels()

    assert found(np.arange(5))["record00000003.png"] == 3
    assert found(np.zeros((5, 0), np.float32)) is None
    assert found(np.full((5, 2), 0.5))["record00000000.png"] == [0.5, 0.5]
    # No picture of the last class: as a number it would be forgotten.
    unused = np.eye(3)[[0, 1, 0, 1, 0]]
    assert found(unused)["record00000001.png"] == [0, 1, 0]
    for wrong in (np.eye(3), np.full(5, -1), np.full((5, 1), np.nan), np.ones(5)):
        with pytest.raises(UserError, match="mend it or remove it"):
            found(wrong)
    with pytest.raises(UserError, match="no numpy array"):
        found(np.array([{}] * 5), allow_pickle=True)
    (faces / "faces-rxx.labels").rename(faces / "one.labels")
    save(faces / "one.labels", np.arange(5))
    assert sources.open_source(faces).labels()["record00000004.png"] == 4
    (faces / "two.labels").touch()
    with pytest.raises(UserError, match="several files of labels"):
        sources.open_source(faces).labels()


def test_damage_is_told_in_a_sentence(tmp_path):
    file = write(tmp_path / "x-r04.tfrecords", [record_of(x) for x in pictures(3)])
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    with pytest.raises(UserError, match="cut off in record 2"):
        sources.open_source(file)
    file.write_bytes(whole + b"\0\0\0")
    with pytest.raises(UserError, match="cut off in record 3"):
        sources.open_source(file)
    file.write_bytes(b"\x1f\x8b" + whole)
    with pytest.raises(UserError, match="compressed, or damaged at byte 0"):
        sources.open_source(file)
    file.write_bytes(b"")
    with pytest.raises(UserError, match="no records"):
        sources.open_source(file)
    spoilt = bytearray(whole)
    spoilt[len(whole) // 2] ^= 1  # in the second picture
    file.write_bytes(spoilt)
    source = sources.open_source(file)
    source.read(0)
    with pytest.raises(images.BrokenPicture, match="checksum"):
        source.read(1)
    assert [p.path for p in check(str(file)).broken] == ["record00000001.png"]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (example(image=field(1, field(1, b"x"))), "it has image"),
        (example(shape=integers([3, 2, 2])), "it has shape"),
        (example(shape=field(2, b""), data=field(1, field(1, b"x"))), "no features"),
        (
            example(shape=integers([3, 9, 9]), data=field(1, field(1, b"x"))),
            "not that of 1 bytes",
        ),
        (
            example(shape=integers([2**64 - 1, 1]), data=field(1, field(1, b"x"))),
            "not that of 1 bytes",
        ),
        (b"\xff\xff", "no tf.train.Example"),
        (b"", "it has none"),
    ],
)
def test_other_records_are_told_in_a_sentence(tmp_path, record, said):
    source = sources.open_source(write(tmp_path / "x-r04.tfrecords", [record]))
    with pytest.raises(images.BrokenPicture, match=said):
        source.read(0)


def test_a_folder_must_say_what_it_is(faces, make, tmp_path):
    (faces / "other-r04.tfrecords").write_bytes(b"")
    with pytest.raises(UserError, match="several sets, faces, other"):
        sources.open_source(faces)
    (faces / "other-r04.tfrecords").unlink()
    make.folder(faces / "pictures", 1)
    with pytest.raises(UserError, match="both .tfrecords and pictures"):
        sources.open_source(faces)
    make.folder(tmp_path / "plain", 1)
    with pytest.raises(UserError, match="neither an LMDB nor"):
        sources.open_source(f"{tmp_path / 'plain'}@64")
    make.folder(tmp_path / "plain@64", 2)  # a folder may be called so
    assert len(sources.open_source(f"{tmp_path / 'plain'}@64")) == 2


def test_fingerprints_and_stamps_tell_sets_apart(faces):
    first = sources.open_source(faces)
    small = sources.open_source(f"{faces}@8")
    assert first.fingerprint() == sources.open_source(faces).fingerprint()
    assert first.fingerprint() != small.fingerprint()
    assert first.stamp() != small.stamp()
    save(faces / "faces-rxx.labels", np.arange(5))
    assert sources.open_source(faces).fingerprint() != first.fingerprint()


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_an_example_or_refused(data):
    try:
        found = parse_example(data)
    except ValueError:
        return
    assert isinstance(found, dict)


@given(data=st.data())
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_changed_files_are_refused_or_read(tmp_path, data):
    file = write(tmp_path / "x-r01.tfrecords", [record_of(x) for x in pictures(2, 2)])
    whole = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] = data.draw(st.integers(0, 255))
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        source = sources.open_source(file)
        for i in range(len(source)):
            source.read(i)
    except UserError:  # BrokenPicture is one
        pass
