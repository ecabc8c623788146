import dataclasses
import json

import numpy as np
import pytest
from face_marks import marks, scene
from PIL import Image, ImageFilter

from stylegan_jax.data.sources import open_source
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.faces.curate import (
    HIGHEST,
    LOWEST,
    Thresholds,
    judge,
    manifest_text,
    read_manifest,
)
from stylegan_jax.faces.duplicates import near_duplicates
from stylegan_jax.faces.texts import TextFilter


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = scene(1)
    picture.save(folder / "good.png")
    picture.filter(ImageFilter.GaussianBlur(0.4)).save(folder / "again.png")
    scene(2).filter(ImageFilter.GaussianBlur(9)).save(folder / "blurry.png")
    scene(3).point(lambda v: v // 8).save(folder / "dark.png")
    scene(4).resize((40, 40)).save(folder / "small.png")
    (folder / "broken.png").write_bytes(b"")
    return str(folder)


def run(photos, thresholds=None, **kwargs):
    kwargs.setdefault("workers", 1)
    found = judge(open_source(photos), thresholds or Thresholds(), **kwargs)
    return {v.name: v for v in found}


def reasons(found):
    return {name: [r.split(":")[0] for r in v.reasons] for name, v in found.items()}


def test_each_reason(photos):
    found = run(photos)
    assert reasons(found) == {
        "again.png": ["near-duplicate of good.png"],
        "blurry.png": ["blurry"],
        "broken.png": ["broken"],
        "dark.png": ["blurry", "dark", "flat"],
        "good.png": [],
        "small.png": ["small"],
    }
    assert [name for name, v in found.items() if v.keep] == ["good.png"]
    assert "size 40, below 64" in found["small.png"].reasons[0]
    assert "empty file (0 bytes)" in found["broken.png"].reasons[0]
    assert not any(v.by_hand for v in found.values())


def test_any_number_of_processes_gives_the_same(photos):
    seen = []
    found = run(photos, workers=2, progress=lambda *now: seen.append(now))
    assert found == run(photos) and seen[-1] == (6, 6)


def test_thresholds_decide(photos):
    lenient = Thresholds(0, 0, 0, 255, 0, 1, 9, 0, 9, duplicate_bits=-1)
    kept = {name for name, v in run(photos, lenient).items() if v.keep}
    assert kept == set(run(photos)) - {"broken.png"}
    strict = Thresholds(min_contrast=1000)
    assert not any(v.keep for v in run(photos, strict).values())
    fields = set(Thresholds.__dataclass_fields__)
    assert set(LOWEST) | set(HIGHEST) | {"duplicate_bits", "lpips"} == fields
    for wrong in (Thresholds(max_yaw=float("nan")), Thresholds(duplicate_bits=64)):
        with pytest.raises(UsageError, match="give a number|hashes have 64 bits"):
            run(photos, wrong)


def test_poses_need_landmarks(photos, tmp_path):
    turned, closed = marks((64, 64), 0.5), marks((64, 64), 0.5)
    turned[30, 0] = turned[45, 0] + 9
    closed[36:48, 1] = 60
    file = tmp_path / "marks.json"
    faces = {
        "good.png": [turned.tolist()],
        "again.png": [closed.tolist()],
        "dark.png": [marks((64, 64), 0.5).tolist()],
    }
    file.write_text(json.dumps(faces))
    found = reasons(run(photos, landmarks=str(file)))
    assert found["good.png"] == ["side face"]
    assert found["again.png"] == ["eyes closed"]
    assert found["dark.png"] == ["blurry", "dark", "flat"]
    assert found["small.png"] == ["small"]  # not in the file: judged by the rest
    assert "yaw" not in run(photos)["good.png"].measures


def test_an_alignment_brings_its_landmarks(photos, tmp_path):
    from stylegan_jax.faces.align import Settings, align

    turned = marks((64, 64), 0.5)
    turned[30, 0] = turned[45, 0] + 9
    file = tmp_path / "marks.json"
    file.write_text(
        json.dumps({"good.png": [marks((64, 64), 0.5).tolist(), turned.tolist()]})
    )
    settings = Settings(size=128, face="all", landmarks=str(file))
    align(photos, tmp_path / "faces", settings, workers=1)
    found = run(str(tmp_path / "faces"), Thresholds(duplicate_bits=-1))
    assert reasons(found) == {"good_00.png": [], "good_01.png": ["side face"]}
    # The square's side in the photo, not the crop's.
    assert all(v.measures["size"] == 96 for v in found.values())


def test_a_person_decides(photos, tmp_path):
    source = open_source(photos)
    verdicts = judge(source, Thresholds(), workers=1)
    file = tmp_path / "manifest.json"
    file.write_text(manifest_text(verdicts, Thresholds()))
    assert list(read_manifest(file).values()) == verdicts
    document = json.loads(file.read_text())
    for entry in document["pictures"]:
        entry["keep"] = entry["name"] in ("dark.png", "again.png")
    document["pictures"] = document["pictures"][:-1]  # small.png is judged anew
    file.write_text(json.dumps(document))
    found = run(photos, manifest=file)
    assert {n for n, v in found.items() if v.keep} == {"dark.png", "again.png"}
    assert {n for n, v in found.items() if v.by_hand} == {
        "dark.png",
        "again.png",
        "good.png",
    }
    assert reasons(found)["small.png"] == ["small"]
    # A new picture that is alike to one kept by hand goes, however sharp.
    document["pictures"] = [e for e in document["pictures"] if e["name"] != "good.png"]
    file.write_text(json.dumps(document))
    found = run(photos, manifest=file)
    assert reasons(found)["good.png"] == ["near-duplicate of again.png"]


@pytest.mark.parametrize(
    ("pictures", "said"),
    [
        ([{"name": "gone.png", "keep": True}], "pictures that .* does not: gone.png"),
        ([{"name": "good.png", "keep": "yes"}, {}], "good.png, no. 1"),
        ([{"name": "good.png", "keep": True}] * 2, "need one name"),
        ("all", "not a manifest of format 1"),
    ],
)
def test_manifests_that_do_not_fit(photos, tmp_path, pictures, said):
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps({"format": 1, "pictures": pictures}))
    with pytest.raises(UserError, match=said):
        run(photos, manifest=file)


def test_the_first_of_each_group_stays():
    hashes = [0b0, 0b111, 0b1111111, 2**60 - 2**20]
    found = near_duplicates(hashes, [1, 0, 2, 3], bits=3)
    assert found == {0: (1, "3 of 64 bits differ")}  # 2 is 4 bits from 1
    assert near_duplicates(hashes, [0, 1, 2, 3], bits=2) == {}
    assert near_duplicates([], [], bits=3) == {}


def test_lpips_is_asked_about_candidates_only():
    hashes = [0, 0xFF, 0xFFFFFFFF]
    asked = []

    def distance(index, others):
        asked.append((index, list(others)))
        return np.array([0.05] * len(others))

    found = near_duplicates(hashes, [0, 1, 2], bits=1, lpips=0.1, distance=distance)
    assert found == {1: (0, "LPIPS 0.050")} and asked == [(1, [0])]


def test_lpips_without_its_weights(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("STYLEGAN_JAX_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError, match="weights get lpips_alex"):
        run(photos, Thresholds(lpips=0.1))


def test_pictures_are_judged_upright_and_in_any_mode(tmp_path):
    scene(1).convert("P").save(tmp_path / "palette.png")
    Image.new("RGBA", (100, 80), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    found = reasons(run(str(tmp_path)))
    assert found["palette.png"] == []
    assert set(found["clear.png"]) >= {"bright", "flat", "over- or underexposed"}


def brightness_filter():
    """Says that brighter pictures are more like the text to keep."""
    asked = []

    def scorer(images):
        asked.append(len(images))
        levels = [np.asarray(image.convert("L"), float).mean() for image in images]
        return np.array([(level / 1000, 0.1) for level in levels])

    return TextFilter(("a bright picture",), ("night",), "stub", scorer), asked


def test_texts_leave_out_what_is_not_like_them(photos):
    texts, asked = brightness_filter()
    ticks = []
    loose = Thresholds(min_sharpness=0, min_brightness=0, min_contrast=0, min_size=0)
    found = run(photos, loose, texts=texts, progress=lambda *now: ticks.append(now))
    assert sum(asked) == 5  # the broken one is not asked about
    assert ticks[-1] == (11, 12)
    dark = found["dark.png"]
    assert not dark.keep and dark.measures["clip_text"] == "night"
    assert dark.measures["clip"] < 0
    (reason,) = dark.reasons
    assert reason.startswith("other text: clip -0.0")
    assert reason.endswith('below 0 (most like "night")')
    assert found["good.png"].keep and found["good.png"].measures["clip"] > 0
    assert "clip" not in found["broken.png"].measures
    strict = dataclasses.replace(loose, clip_margin=0.5)
    assert not run(photos, strict, texts=texts)["good.png"].keep
    loose = dataclasses.replace(loose, clip_margin=-1)
    assert run(photos, loose, texts=texts)["dark.png"].keep


def test_texts_are_not_asked_about_what_a_person_decided(photos, tmp_path):
    texts, asked = brightness_filter()
    found = run(photos)
    file = tmp_path / "manifest.json"
    file.write_text(manifest_text(found.values(), Thresholds(), texts.to_json()))
    assert json.loads(file.read_text())["texts"]["drop"] == ["night"]
    assert set(read_manifest(file)) == set(found)
    run(photos, texts=texts, manifest=file)
    assert asked == []
