import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.curves import MAX_POINTS, curve_svg, thin, ticks
from stylegan_jax.pipelines.report import Chapter, Section, write_report
from stylegan_jax.pipelines.report_run import duration, read_stats, sample_grids


@pytest.fixture
def workdir(tmp_path):
    for name in ("reals", "fakes-init", "fakes-000002", "fakes-000010"):
        save_png(tmp_path / "samples" / f"{name}.png", np.zeros((8, 8, 3), np.uint8))
    ticks = [
        {
            "kimg": k,
            "seconds": 60.0 * k,
            "images_per_second": 16.0,
            "loss/g_main": 1.0 + k,
            "loss/d_main": float("nan") if k == 1 else 1.0,
            "swd/mean": 100.0 / (1 + k),
        }
        for k in range(11)
    ]
    lines = [json.dumps(tick) for tick in ticks]
    (tmp_path / "stats.jsonl").write_text("\n".join([*lines, '{"kimg": 11, "los']))
    (tmp_path / "config.json").write_text('{"data": {"path": "<toy>"}}')
    return tmp_path


class _Balance(HTMLParser):
    """Checks that every element that is opened is closed."""

    VOID = {"meta", "img", "input", "path", "polyline", "circle"}

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def _write(workdir, **kwargs):
    path = write_report(workdir, title="A <run>", intro="One.\n\nTwo.", **kwargs)
    text = path.read_text()
    parser = _Balance()
    parser.feed(text)
    assert not parser.open
    return text


def test_page_holds_the_run_and_fetches_nothing(workdir):
    text = _write(
        workdir,
        sections=[Section("Data", "400 faces.", table={"size": 32})],
        next_steps=[("Draw more.", "stylegan-jax generate x")],
        machine={"device": "cpu"},
        figures={"faces": "7"},
    )
    for part in (
        "A &lt;run&gt;", "10.0 kimg", "10 min 00 s", "11.0×", "Through time", "<svg",
        "400 faces.", "stylegan-jax generate x", "&lt;toy&gt;", "from 100.0",
    ):  # fmt: skip
        assert part in text, part
    assert not re.search(r"(src|href)=[\"']?(https?:)?//|url\(http|@import", text)
    assert text.count("data:image/png;base64,") == 5  # two large, three in the strip


def test_chapters_follow_the_run_in_order(workdir):
    chapters = [
        Chapter("First <one>", "Text.", commands=["a --b", "c 'd'"]),
        Chapter(
            "Second",
            headline=("9×", "more <of it>"),
            figures={"share": "0.5"},
            sections=[Section("", "No heading.")],
            run=workdir,
            curves=("Losses",),
            commands=["e"],
            own=[("A <way>.", "f\ng")],
        ),
    ]
    text = _write(workdir, chapters=chapters, sections=[Section("Data")])
    order = [
        '<a href="#chapter-1"><b>1</b> First &lt;one&gt;</a>',
        'id="chapter-1"', "Text.", "10.0 kimg", "Through time", "<h3>Data</h3>",
        "a --b\nc &#x27;d&#x27;</pre>", 'id="chapter-2"',
        "<b>9×</b> more &lt;of it&gt;", "share", "Through time",
        "<h3>Losses</h3>", "No heading.", ">e</pre>",
        "<h3>With pictures of your own</h3>", "A &lt;way&gt;.<pre>f\ng</pre>",
        "How it was made",
    ]  # fmt: skip
    places = [text.find(part) for part in order[:8]]
    second = text.index('id="chapter-2"')
    places += [text.find(part, second) for part in order[8:]]
    assert -1 not in places and places == sorted(places)
    assert text.count("<h3>Distance to the real pictures</h3>") == 1
    assert "<h3></h3>" not in text


def test_an_empty_run_has_a_page(tmp_path):
    text = _write(tmp_path)
    assert "What it draws" not in text and "Curves" not in text
    assert "contents" not in text.partition("</style>")[2]


def test_page_is_written_again_to_the_same_bytes(workdir):
    assert _write(workdir) == _write(workdir)


def test_huge_grids_are_made_smaller(workdir):
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8)
    small = len(_write(workdir))
    save_png(workdir / "samples" / "reals.png", noise)
    assert len(_write(workdir)) - small < 1024 * 1024 * 3 * 4 / 3 * 1.05


def test_refusals(workdir):
    with pytest.raises(UserError, match="no run's folder"):
        write_report(workdir / "absent", title="", intro="")
    (workdir / "samples" / "reals.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="reals.png into a report"):
        _write(workdir)


def test_stats_leave_out_what_a_kill_cut_short(workdir):
    assert [tick["kimg"] for tick in read_stats(workdir / "stats.jsonl")] == [
        *range(11)
    ]
    assert read_stats(workdir / "absent.jsonl") == []


def test_grids_are_in_order_of_time(workdir):
    labels = [label for label, _ in sample_grids(workdir / "samples")]
    assert labels == ["start", "2 kimg", "10 kimg"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(42.4, "42 s"), (425, "7 min 05 s"), (12_000, "3 h 20 min")],
)
def test_durations_read_as_people_say_them(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (-3, 200), (5, 5), (0, 0), (1e-9, 2e-9), (-1e6, 1e7)]
)
def test_ticks_enclose_the_values_in_few_even_steps(low, high):
    got = ticks(low, high)
    assert got[0] <= low + 1e-12 and got[-1] >= high - 1e-12
    assert 2 <= len(got) <= 8
    np.testing.assert_allclose(np.diff(got), got[1] - got[0], rtol=1e-6)


def test_curves_are_thinned_and_skip_what_is_not_finite():
    many = [(float(i), 1.0) for i in range(10 * MAX_POINTS)]
    assert len(thin(many)) == MAX_POINTS
    svg = curve_svg({"a<b": [(0, 1), (1, float("nan")), (2, 3)]})
    assert "a&lt;b" in svg and "nan" not in svg
    assert "nothing was recorded" in curve_svg({"a": [(0, float("inf"))]})
