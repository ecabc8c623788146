"""The demo, shrunk to a few steps."""

from __future__ import annotations

import html
import json
import re
import shlex
import shutil
import signal

import click
import numpy as np
import pytest
from PIL import Image
from tiny_facespace import tiny_encoder
from tiny_students import save_student

from stylegan_jax.checkpoints.facespace_config import Faces
from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.checkpoints.load import load
from stylegan_jax.checkpoints.model_file import read_metadata, save_model, sha256_of
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.cli.main import cli
from stylegan_jax.data.pair_manifest import read_pairs
from stylegan_jax.data.sources import open_source
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines import (
    demo,
    demo_psp,
    demo_psp_page,
    demo_space,
    demo_space_page,
    demo_stages,
    demo_student,
    demo_student_page,
)
from stylegan_jax.pipelines.demo_psp import split_of_pairs
from stylegan_jax.pipelines.report_run import points, read_stats
from stylegan_jax.training.experiment import load_config, to_plain
from stylegan_jax.training.loop import Outcome
from tests.models.psp.tiny_psp import tiny_psp

# Most of the time is compiling: R1's phase is left out.
BOTH = (
    "data.resolution=16",
    "loss.r1_gamma=0",
    "snapshot.grid=4",
    "eval.num=16",
    "train.batch=32",
    "train.tick_kimg=0.032",
)
PHOTO = (
    "model.channel_base=64",
    "model.channel_max=8",
    "model.z_dim=8",
    "model.w_dim=8",
    "train.total_kimg=0.064",
)
# Its own pipeline takes long to compile; the slow test below has it.
STYLE = ("train.total_kimg=0.032", "augment.mode=diffaugment")
PLAN = demo.Plan(
    faces=40,
    overrides=tuple(f"--config.{word}" for word in BOTH + PHOTO),
    comics=40,
    style_overrides=tuple(f"--config.{word}" for word in BOTH + STYLE),
    pairs=20,
    psp_overrides=("--config.train.batch=8",),
    photos=3,
    readings=40,
    smiles=20,
    student_overrides=("--config.data.resolution=16",),
    later=3,
    space_overrides=("--config.train.epochs=2",),
)
# Files that tell whether a stage was done again.
MADE = (
    "faces/dataset.json", "models/best.json", "comic/dataset.json", "config.json",
    "style/made_from.json", "style/config.json", "style/models/best.json",
    "blend/grid.png", "blend/blend.safetensors", "pairs/manifest.jsonl",
    "pairs/A/00000004.png", "pairs/B/00000004.png", "psp/made_from.json",
    "psp/models/psp-000000.safetensors", "new/dataset.json",
    "psp/new/00000/img00000002.png", "directions/smile.npz", "directions/strip.png",
    "directions/steps.json", "smiles/manifest.jsonl", "smiles/B/00000004.png",
    "student/made_from.json", "later/dataset.json", "student/smile.json",
    "student/later/00000/img00000002.png", "student/later.png", "eight/dataset.json",
    "space/made_from.json", "space/use/space.json", "space/use/faces.png",
    "space/use/blends.png", "space/use/morph.gif", "space/use/grid.png",
    "space/use/map.png",
)  # fmt: skip


def write_student(config, workdir, *, show_progress):
    """As `write_run`, for a student."""
    if not (workdir / "models").is_dir():
        made = {"resolution": 16, "nimg": 16}
        save_student(workdir / "models" / "net-000000.safetensors", made)
        write_notes(config, workdir, {"val/l1": 0.25, "val/l1_source": 0.5})
        grid = np.zeros((16, 48, 3), np.uint8)
        save_png(workdir / "samples" / "pairs-000000.png", grid)
        Image.fromarray(grid).save(workdir / "samples" / "timeline.gif")
    return Outcome(None, 16, None)


def write_space(config, workdir, *, show_progress):
    """As `write_run`, for a face space."""
    if not (workdir / "models").is_dir():
        generator = load(config.init.model)
        encoder = tiny_encoder(8, generator.num_ws, generator.module.w_dim)
        names = tuple(open_source(config.data.path).names)
        space = FaceSpaceModel.join(encoder, generator, faces=Faces(names))
        space.save(workdir / "models" / "facespace-000000.safetensors")
        write_notes(config, workdir, {"val/l2_ratio": 3.0})
    return Outcome(None, 16, None)


def write_notes(config, workdir, measured):
    """The configuration and the figures of a run."""
    plain = to_plain(config)
    document = json.dumps({"requested": plain, "resolved": plain})
    (workdir / "config.json").write_text(document)
    ticks = [
        {"kimg": k, "seconds": 100 * k, "images_per_second": 160.0, **measured}
        for k in (0.0, 0.016)
    ]
    lines = "".join(json.dumps(tick) + "\n" for tick in ticks)
    (workdir / "stats.jsonl").write_text(lines)


def write_run(config, workdir, *, show_progress):
    """Leaves what training an encoder leaves; the slow test below really trains."""
    done = Outcome(None, 16, None)
    if (workdir / "models").is_dir():
        return done
    module, variables = tiny_psp()
    measured = {"val/l2": 0.25, "val/l2_mean_latent": 0.75, "val/l2_ratio": 3.0}
    digest = sha256_of(config.init.decoder)
    save_model(
        workdir / "models" / "psp-000000.safetensors",
        variables,
        family="psp",
        config=config_of(module),
        provenance={
            "started_from": {"init.decoder": {"sha256": digest}},
            "nimg": 16,
            "measured": measured,
        },
        licence="CC0",
    )
    write_notes(config, workdir, measured)
    grid = np.zeros((16, 48, 3), np.uint8)
    save_png(workdir / "samples" / "pairs-000000.png", grid)
    return done


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished demo, and what it said."""
    said: list[str] = []
    workdir = tmp_path_factory.mktemp("demo") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "FULL", PLAN)
        patch.setattr(demo_psp, "train", write_run)
        patch.setattr(demo_student, "train", write_student)
        patch.setattr(demo_space, "train", write_space)
        found = demo.run_demo(workdir, show_progress=False, say=said.append)
    assert found == demo.Demo(workdir / "report.html")
    return workdir, said


@pytest.fixture
def workdir(finished, tmp_path, monkeypatch):
    """A copy of it, at the same relative place."""
    monkeypatch.setattr(demo, "FULL", PLAN)
    monkeypatch.setattr(demo_psp, "train", write_run)
    monkeypatch.setattr(demo_student, "train", write_student)
    monkeypatch.setattr(demo_space, "train", write_space)
    shutil.copytree(finished[0], tmp_path / "demo")
    return tmp_path / "demo"


def run(workdir, said=None, **options):
    say = said.append if said is not None else lambda text: None
    return demo.run_demo(workdir, show_progress=False, say=say, **options)


def times(workdir):
    return {name: (workdir / name).stat().st_mtime_ns for name in MADE}


def test_the_stages_tell_what_they_do(finished):
    assert finished[1] == [
        "drawing 40 toy photo faces",
        "training a small StyleGAN2 on them",
        "drawing 40 toy comic faces",
        "fine-tuning it on the comics",
        "blending the two",
        "drawing 20 pairs",
        "training an encoder on them (pSp)",
        "drawing 3 toy photo faces",
        "putting new photos through it",
        "looking for the direction of a smile in 40 faces",
        "drawing 20 pairs of a face and its smile",
        "training a student on them (pix2pixHD)",
        "drawing 3 toy photo faces",
        "putting new photos through it",
        "drawing 8 toy photo faces",
        "fitting a face space to them",
        "blending faces of the space",
        "drawing new faces and writing the report",
    ]


def test_every_stage_is_made_from_the_one_before(finished):
    workdir, _ = finished
    parent = json.loads((workdir / "style" / "made_from.json").read_text())
    assert set(parent) == {"g_ema", "g", "d"}
    style = read_metadata(next((workdir / "style" / "models").glob("g_ema-*")))
    assert style["provenance"]["parent"]["sha256"] == parent["g_ema"]
    blend = read_metadata(workdir / "blend" / "blend.safetensors")["provenance"]
    assert blend["parents"][0]["sha256"] == parent["g_ema"]
    assert blend["recipe"]["resolution"] == 16
    assert len(read_pairs(workdir / "pairs")) == 20
    psp = next((workdir / "psp" / "models").glob("psp-*"))
    started = read_metadata(psp)["provenance"]["started_from"]
    made_from = json.loads((workdir / "psp" / "made_from.json").read_text())
    assert started["init.decoder"]["sha256"] == made_from["blend"]
    record = json.loads((workdir / "psp" / "new" / "stylize.json").read_text())
    assert record["model"]["sha256"] == sha256_of(psp)
    assert all(entry["outputs"] for entry in record["pictures"].values())
    seeds = [
        (workdir / name / "attributes.csv").read_text().splitlines()[1].split(",")[1]
        for name in ("faces", "comic", "new", "later", "eight")
    ]
    assert seeds == ["0", "1000000", "2000000", "3000000", "4000000"]


def test_the_page_has_the_chapters_in_order(finished):
    text = (finished[0] / "report.html").read_text()
    titles = re.findall(r"<h2><span>\d</span> (.*?)</h2>", text)
    assert titles == [
        "A generator from nothing",
        "A second style from 40 pictures",
        "Between the two: a blend",
        "Pairs: one face, two styles",
        "Any photo into the style: pSp",
        "A smile for any photo: a student",
        "Eight faces and all between them: a face space",
    ]
    assert "drew 40 faces" in text and "data:image/png;base64," in text
    assert "the blocks of 4 and 8 pixels from the photo generator" in text
    assert "here the one at 0.032 kimg" in text
    assert text.count('<div class="card film">') == 2
    assert "stylegan-jax train --config stylegan2_auto" in text
    plain = re.sub(r"<(style|script)>.*?</\1>|<table>.*", "", text, flags=re.S)
    assert "{" not in plain


def test_what_the_page_says_to_type_is_understood(finished):
    text = (finished[0] / "report.html").read_text()
    blocks = re.findall(r'<pre class="wrap">(.*?)</pre>', text, flags=re.S)
    lines = [line for block in blocks for line in html.unescape(block).splitlines()]
    assert len(lines) == 24
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "stylegan-jax"
        command: click.Command = cli
        context = click.Context(cli)
        while isinstance(command, click.Group):
            command = command.get_command(context, words.pop(0))
        # Raises for options that the command does not have.
        context = command.make_context(command.name, words)
        if command.name == "train":
            load_config(context.params["name"], context.args)


def test_again_nothing_is_done_twice(workdir):
    before = times(workdir)
    (workdir / "report.html").unlink()
    said: list[str] = []
    assert run(workdir, said).page.is_file()
    assert times(workdir) == before
    assert said == [
        "training a small StyleGAN2 on them",
        "fine-tuning it on the comics",
        "training an encoder on them (pSp)",
        "training a student on them (pix2pixHD)",
        "fitting a face space to them",
        "drawing new faces and writing the report",
    ]


@pytest.mark.slow
def test_what_is_missing_is_made_again_alike(workdir):
    before = {name: (workdir / name).read_bytes() for name in MADE}
    # A blend of other models.
    other = next((workdir / "models").glob("g_ema-*"))
    shutil.copy(other, workdir / "blend" / "blend.safetensors")
    (workdir / "pairs" / "B" / "00000004.png").unlink()
    (workdir / "space" / "use" / "space.json").unlink()
    (workdir / "space" / "use" / "morph.gif").unlink()
    document = json.loads((workdir / "pairs" / "manifest.json").read_text())
    document["complete"] = False  # as after a kill
    (workdir / "pairs" / "manifest.json").write_text(json.dumps(document))
    run(workdir)
    assert {name: (workdir / name).read_bytes() for name in MADE} == before


@pytest.mark.slow
def test_a_signal_ends_it_and_leaves_no_page(workdir, monkeypatch):
    (workdir / "report.html").unlink()
    stopped = Outcome(None, 8, signal.SIGTERM)
    monkeypatch.setattr(demo_space, "train", lambda *args, **kwargs: stopped)
    assert run(workdir) == demo.Demo(None, signal.SIGTERM)
    monkeypatch.setattr(demo_student, "train", lambda *args, **kwargs: stopped)
    assert run(workdir) == demo.Demo(None, signal.SIGTERM)
    monkeypatch.setattr(demo_psp, "train", lambda *args, **kwargs: stopped)
    assert run(workdir) == demo.Demo(None, signal.SIGTERM)
    monkeypatch.setattr(demo_stages, "train", lambda *args, **kwargs: stopped)
    assert run(workdir) == demo.Demo(None, signal.SIGTERM)
    monkeypatch.setattr(demo, "train", lambda *args, **kwargs: stopped)
    assert run(workdir) == demo.Demo(None, signal.SIGTERM)
    assert not (workdir / "report.html").exists()


def test_a_style_of_another_generator_is_refused(workdir):
    record = workdir / "style" / "made_from.json"
    record.write_text(record.read_text().replace('"g": "', '"g": "0'))
    with pytest.raises(UserError, match="style was not fine-tuned from the best"):
        run(workdir)


def test_an_encoder_of_another_blend_is_refused(workdir):
    record = workdir / "psp" / "made_from.json"
    record.write_text(record.read_text().replace('"blend": "', '"blend": "0'))
    places, config = demo_stages.Places(workdir), load_config("psp_toy")
    with pytest.raises(UserError, match="psp was not trained with the blend and the"):
        demo_psp.train_encoder(places, config, say=str, shown=False)


def test_outputs_of_another_snapshot_are_made_anew(workdir):
    before = {name: (workdir / name).read_bytes() for name in MADE}
    record = workdir / "psp" / "new" / "stylize.json"
    document = json.loads(record.read_text())
    document["model"]["sha256"] = "0" * 64
    record.write_text(json.dumps(document))
    said: list[str] = []
    places = demo_stages.Places(workdir)
    demo_psp.stylize_new(places, say=said.append, shown=False)
    assert said == ["putting new photos through it"]
    assert {name: (workdir / name).read_bytes() for name in MADE} == before


def test_the_page_tells_what_the_encoder_learned(finished):
    text = (finished[0] / "report.html").read_text()
    chapter = text.partition('id="chapter-5"')[2]
    for part in (
        "Of 20 pairs 2 were kept from training", "<b>3.0×</b> lower L2 than the",
        "on 2 people whom training never saw", "less than 4×: this training was too",
        "<b>0.2500</b>", "<b>0.7500</b>", "<b>2 s</b>", "<b>160</b>",
        "<h3>Distance of held-out pairs</h3>", "3 faces that the program drew after",
        "--held-out 0.1", "--config psp_pairs",
    ):  # fmt: skip
        assert part in chapter, part


def test_an_encoder_that_learned_enough_is_not_called_too_short(finished, monkeypatch):
    places = demo_stages.Places(finished[0])
    for enough, said in ((3.1, True), (2.9, False)):
        monkeypatch.setattr(demo_psp_page, "ENOUGH", enough)
        chapter = demo_psp_page.psp_chapter(places, (), size=16, seed=0)
        assert ("was too short" in chapter.text) == said


def test_a_student_of_other_pairs_is_refused(workdir):
    record = workdir / "student" / "made_from.json"
    record.write_text(record.read_text().replace('"pairs": "', '"pairs": "0'))
    places, config = demo_stages.Places(workdir), load_config("pix2pixhd_toy")
    with pytest.raises(UserError, match="student was not trained with the pairs in"):
        demo_student.train_student(places, config, say=str, shown=False)


def test_the_page_tells_what_was_measured_on_smiles(finished):
    workdir, _ = finished
    steps = json.loads((workdir / "directions" / "steps.json").read_text())
    assert len(steps["mean"]) == len(steps["strengths"]) == 7 and steps["faces"] == 64
    measured = json.loads((workdir / "student" / "smile.json").read_text())
    trained, held_out = split_of_pairs(workdir / "smiles", 0.1)
    assert measured["pairs"]["num"] == held_out and measured["photos"]["num"] == 3
    text = (workdir / "report.html").read_text()
    chapter = text.partition('id="chapter-6"')[2]
    smile = measured["pairs"]
    for part in (
        "the smiles of 40 faces were measured", "20 pairs of a face",
        f"the {trained + held_out} on which", f"{held_out} were kept",
        f"<b>{smile['source']:.2f}</b>", f"<b>{smile['target']:.2f}</b>",
        f"<b>{smile['output']:.2f}</b>", f"{held_out} people whom training never saw",
        "data:image/gif;base64,", "3 faces that the program drew after all training",
        "directions fit", "--direction smile", "--attributes toy",
    ):  # fmt: skip
        assert part in chapter, part


def test_a_space_of_another_generator_is_refused(workdir):
    record = workdir / "space" / "made_from.json"
    record.write_text(record.read_text().replace('"generator": "', '"generator": "0'))
    places, config = demo_stages.Places(workdir), load_config("facespace_toy")
    with pytest.raises(UserError, match="space was not fitted to .*eight in the best"):
        demo_space.fit_space(places, config, say=str, shown=False)


def test_the_page_tells_what_was_measured_on_the_space(finished, monkeypatch):
    workdir, _ = finished
    measured = json.loads((workdir / "space" / "use" / "space.json").read_text())
    assert len(measured["l2"]) == len(measured["l2_mean"]) == 8
    assert measured["between"]["ways"] == 8 and len(measured["map"]) == 2
    chapter = (workdir / "report.html").read_text().partition('id="chapter-7"')[2]
    ratio = np.mean(measured["l2_mean"]) / np.mean(measured["l2"])
    for part in (
        f"<b>{ratio:.1f}×</b>", f"<b>{np.mean(measured['l2']):.4f}</b>",
        "data:image/gif;base64,", "facespace blend", "--random 4", "latents map",
        f"{measured['between']['inside']:.0%} of the blends lie between",
    ):  # fmt: skip
        assert part in chapter, part
    for enough, said in ((ratio + 0.1, True), (ratio - 0.1, False)):
        monkeypatch.setattr(demo_space_page, "ENOUGH", enough)
        places = demo_stages.Places(workdir)
        told = demo_space_page.space_chapter(places, (), size=16, seed=0)
        assert ("was too short" in told.text) == said


def test_ways_that_lead_from_face_to_face_are_told_from_others():
    straight = np.array([[0.0, 1, 2, 3], [3, 2, 1, 0]])
    assert demo_space._order(straight) == {"inside": 1.0, "forward": 1.0}
    # One blend beyond the second face, and the last step back from it.
    assert demo_space._order(np.array([[0.0, 1, 4, 3]])) == {
        "inside": 0.5, "forward": pytest.approx(2 / 3),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("target", "output", "l1", "reached", "said"),
    [
        (1.3, 1.2, 0.1, 0.9, ""),
        (1.3, 0.7, 0.1, 0.4, "less than half of the latent edit's gain"),
        (1.3, 0.2, 0.1, -0.1, "less than half of the latent edit's gain"),
        (1.3, 1.2, 0.3, 0.9, "(L1 0.300) are further from the latent edit than"),
        (0.3, 0.7, 0.1, None, "the latent edit itself makes nobody smile more"),
    ],
)
def test_a_student_is_judged_plainly(target, output, l1, reached, said):
    smile = {"source": 0.3, "target": target, "output": output}
    smile |= {"l1": l1, "l1_identity": 0.2}
    found, told = demo_student_page.judged(smile)
    assert found == (None if reached is None else pytest.approx(reached))
    assert said in told and bool(said) == bool(told)


@pytest.mark.parametrize("options", [{"seed": 1}, {"fast": True}])
def test_a_demo_of_another_kind_is_not_told_as_this_one(workdir, options):
    with pytest.raises(UserError, match="holds the faces of another demo"):
        run(workdir, **options)


def test_what_a_kill_left_half_written_is_no_hindrance(workdir, monkeypatch):
    shutil.rmtree(workdir / "style")
    (workdir / "style").mkdir()
    (workdir / "style" / ".made_from.json.part-1").touch()
    stopped = Outcome(None, 8, signal.SIGTERM)
    monkeypatch.setattr(demo_stages, "train", lambda *args, **kwargs: stopped)
    assert run(workdir) == demo.Demo(None, signal.SIGTERM)
    assert (workdir / "style" / "made_from.json").is_file()


def test_faces_of_unknown_origin_are_refused(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "one.png").touch()
    with pytest.raises(UserError, match="style None and not photo, num None and not"):
        run(tmp_path)


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="holds something else"):
        run(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_the_fast_demo(tmp_path):
    found = run(tmp_path / "demo", fast=True)
    text = found.page.read_text()
    assert "p of the augmentation at the end" in text
    assert "less than 4×: this training was too short" in text
    lines = (tmp_path / "demo" / "style" / "stats.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert last["kimg"] >= 0.5 and 0 <= last["augment/p"] <= 0.8
    assert {"swd/mean", "watch/nearest", "watch/gap"} <= set(last)
    assert len(read_pairs(tmp_path / "demo" / "pairs")) == demo.FAST.pairs
    measured = points(read_stats(tmp_path / "demo/psp/stats.jsonl"), "val/l2_ratio")
    assert measured[-1][0] >= 1.5 and measured[-1][1] > measured[0][1]
    smile = json.loads((tmp_path / "demo/student/smile.json").read_text())
    assert smile["pairs"]["num"] == 12 and np.isfinite(smile["pairs"]["output"])
    space = json.loads((tmp_path / "demo/space/use/space.json").read_text())
    assert np.mean(space["l2"]) < np.mean(space["l2_mean"]) / 2
