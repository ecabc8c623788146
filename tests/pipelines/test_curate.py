import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from face_marks import marks, scene

from stylegan_jax.data.sources import open_source
from stylegan_jax.errors import UserError
from stylegan_jax.faces.curate import Thresholds
from stylegan_jax.faces.texts import TextFilter
from stylegan_jax.pipelines.curate import curate, kind_of

NASTY = "</script><img src=x onerror=alert(1)>.png"
VOID = {"meta", "img", "input"}


class Page(HTMLParser):
    """Checks that elements close, and gathers what the page shows."""

    def __init__(self, text):
        super().__init__()
        self.open, self.pictures, self.boxes, self.text = [], [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        assert not any(key.startswith("on") for key in attrs)
        for key in ("src", "href"):
            assert attrs.get(key, "data:").startswith("data:")
        if tag == "img":
            self.pictures.append(attrs["alt"])
        if tag == "input":
            self.boxes.append((int(attrs["data-index"]), "checked" in attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    scene(1).save(folder / "a" / "good.png")
    scene(2).save(folder / "a" / "fine.jpg")
    scene(3).point(lambda v: v // 8).save(folder / "b" / "dark.png")
    (folder / "b" / "broken.png").write_bytes(b"")
    return folder


def run(photos, dst, **kwargs):
    return curate(str(photos), dst, workers=1, **kwargs)


def test_a_dataset_of_what_stays(photos, tmp_path):
    dst = tmp_path / "out"
    done = run(photos, dst)
    assert (done.pictures, done.kept, done.by_hand, done.posed) == (4, 2, 0, 0)
    assert done.reasons == {"broken": 1, "blurry": 1, "dark": 1, "flat": 1}
    source = open_source(dst)
    assert list(source.names) == ["a/fine.jpg", "a/good.png"]
    for index, name in enumerate(source.names):
        assert source.read(index) == (photos / name).read_bytes()
    # Labels are those of the whole source: `b` was a class, though empty now.
    assert source.labels() == {"a/fine.jpg": 0, "a/good.png": 0}
    json.dumps(done.to_json())


def test_the_page_shows_every_picture_with_its_reason(photos, tmp_path):
    run(photos, tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text()
    page = Page(text)
    assert sorted(page.pictures) == ["a/fine.jpg", "a/good.png", "b/dark.png"]
    assert sorted(page.boxes) == [(0, True), (1, True), (2, False), (3, False)]
    assert "broken: empty file (0 bytes)" in page.text
    assert re.search(r"dark: brightness [\d.]+, below 40", page.text)
    assert "3 of 4 pictures have no landmarks" in page.text  # one is broken


def test_what_the_page_saves_is_a_manifest(photos, tmp_path):
    run(photos, tmp_path / "out")
    text = (tmp_path / "out" / "report.html").read_text()
    embedded = re.search(r'id="manifest">(.*?)</script>', text, re.S).group(1)
    document = json.loads(embedded)
    for entry in document["pictures"]:
        if entry["name"] in ("a/good.png", "b/dark.png"):
            entry["keep"] = not entry["keep"]
    file = tmp_path / "out" / "manifest.json"  # as saved over the old one
    file.write_text(json.dumps(document))
    done = run(photos, tmp_path / "out", manifest=file)  # replaces its own folder
    assert (done.kept, done.by_hand) == (2, 2)
    assert list(open_source(tmp_path / "out").names) == ["a/fine.jpg", "b/dark.png"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "kept by hand" in page and "left out by hand" in page


def test_a_manifest_replaces_only_what_was_curated_of_its_source(photos, tmp_path):
    dst = tmp_path / "out"
    run(photos, dst, thresholds=Thresholds(min_size=500))  # nothing stays
    file = tmp_path / "saved.json"  # by a browser, elsewhere
    text = (dst / "manifest.json").read_text()
    file.write_text(text.replace('"keep": false', '"keep": true', 2))
    before = sorted(p.name for p in tmp_path.iterdir())
    assert run(photos, dst, manifest=file).kept == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    # A manifest that does not fit leaves DST as it was.
    (tmp_path / "bad.json").write_text('{"format": 1, "pictures": [{}]}')
    with pytest.raises(UserError, match="need one name and keep"):
        run(photos, dst, manifest=tmp_path / "bad.json")
    assert len(open_source(dst)) == 2
    # Of another source, or no curated folder: only --overwrite, or never.
    other = tmp_path / "others"
    photos.rename(other)
    with pytest.raises(UserError, match="exists already"):
        run(other, dst, manifest=file)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file.txt").write_text("x")
    with pytest.raises(UserError, match="exists already"):
        run(other, precious, manifest=file)


def test_pictures_that_a_file_has_no_landmarks_of_are_judged_by_the_rest(
    photos, tmp_path
):
    file = tmp_path / "marks.json"
    points = marks((64, 64), 0.5).tolist()
    file.write_text(json.dumps({"a/good.png": [points], "b/dark.png": []}))
    done = run(photos, tmp_path / "out", landmarks=str(file))
    assert (done.kept, done.posed, done.unposed) == (2, 1, 2)  # and one is broken
    assert set(done.reasons) == {"broken", "blurry", "dark", "flat"}
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert "2 of 4 pictures have no landmarks: their pose" in page.text


def test_names_cannot_script_the_page(tmp_path):
    # A slash cannot be in a file's name, so this comes in a zip.
    import zipfile

    picture = tmp_path / "x.png"
    scene(1).save(picture)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(picture, NASTY)
    run(tmp_path / "photos.zip", tmp_path / "out")
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert page.pictures == [NASTY]


def test_few_thumbnails_say_that_there_are_more(photos, tmp_path):
    run(photos, tmp_path / "out", thumbnails=1)
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert page.pictures == ["a/fine.jpg"] and len(page.boxes) == 2
    assert page.text.count("1 more are in the manifest only") == 2


def test_nothing_stays(photos, tmp_path):
    done = run(photos, tmp_path / "out", thresholds=Thresholds(min_size=500))
    assert done.kept == 0 and (tmp_path / "out" / "report.html").exists()


def test_only_its_own_folders_are_replaced(photos, tmp_path):
    with pytest.raises(UserError, match="lies inside"):
        run(photos, photos / "out")
    run(photos, tmp_path / "out")
    with pytest.raises(UserError, match="exists already"):
        run(photos, tmp_path / "out")
    other = tmp_path / "precious"
    other.mkdir()
    (other / "file.txt").write_text("x")
    with pytest.raises(UserError, match="not a dataset written by this program"):
        run(photos, other, overwrite=True)
    run(photos, tmp_path / "out", overwrite=True)


def test_records_without_a_suffix_get_one(tmp_path):
    from stylegan_jax.data.prepare import prepare

    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(3):
        scene(seed).save(folder / f"{seed}.png")
    archive = str(tmp_path / "set.arrayrecord")
    prepare(str(folder), archive, resolution=128, format="arrayrecord")
    done = run(archive, tmp_path / "out")
    assert done.kept == 3 and len(open_source(tmp_path / "out")) == 3


def test_kinds_of_reasons():
    assert kind_of("near-duplicate of a/b.png: 3 of 64 bits differ") == "near-duplicate"
    assert kind_of("blurry: sharpness 1.2, below 6") == "blurry"
    assert kind_of("no face seen") == "no face seen"


def test_texts_are_on_the_page_and_in_the_manifest(photos, tmp_path):
    texts = TextFilter(
        ("a photo",),
        ("<b>drawing</b>",),
        "tiny",
        lambda images: np.array(
            [(0.2, 0.1 + 0.2 * (i % 2)) for i, _ in enumerate(images)]
        ),
    )
    done = run(photos, tmp_path / "out", texts=texts)
    assert done.texts == texts.to_json() and done.reasons["other text"] == 1
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["texts"] == texts.to_json()
    assert manifest["pictures"][0]["measures"]["clip"] == 0.1
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert "Compared by CLIP with “a photo” (to keep)" in page.text
    assert "<b>drawing</b>” (to drop)" in page.text and "clip -0.1" in page.text
