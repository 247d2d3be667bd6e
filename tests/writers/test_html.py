"""The report: hostile texts stay texts, nothing is asked of any host, and a browser draws it without an error."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_timeline import CARD, HOSTILE, LABELS, made_timeline

from mme2e.errors import UserError
from mme2e.inference.timeline import Moment, Timeline
from mme2e.writers.html import clock, decision_shares, duration, headline, share, write_report
from mme2e.writers.model_card import markdown_blocks
from mme2e.writers.palette import DARK_BACKGROUND, LIGHT_BACKGROUND, emotion_colours, rgb

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VOID = {"meta", "link", "img", "input", "br"}
SCALABLE = {"rect"}


class Page(HTMLParser):
    """Elements of a page with their attributes, and the text of scripts and styles; refuses wrong nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SCALABLE
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in self.raw:
            self.raw[self._open[-1]][-1] += data
        else:
            self.text += data

    @property
    def policy(self) -> str:
        return next(str(found["content"]) for tag, found in self.elements if found.get("http-equiv"))

    @property
    def data(self) -> Any:
        return json.loads(self.raw["script"][0])


def written(timeline: Timeline, tmp_path: Path, **options: Any) -> Page:
    write_report(timeline, tmp_path / "report.html", **options)
    return Page((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_everything_is_in_the_file_and_nothing_elsewhere(tmp_path: Path) -> None:
    page = written(made_timeline(), tmp_path)
    for _, attributes in page.elements:
        assert attributes.get("style") is None
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "poster", "data", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/webp;base64,"))
    for content in (*page.raw["style"], page.raw["script"][1]):
        assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch|XMLHttp|innerHTML|eval\(", content)
    assert "default-src 'none'" in page.policy
    assert "unsafe" not in page.policy


def test_the_policy_allows_its_own_script_and_styles_only(tmp_path: Path) -> None:
    page = written(made_timeline(), tmp_path)
    allowed = re.findall(r"'(sha256-[^']*)'", page.policy)
    own = [page.raw["script"][1], *page.raw["style"]]
    hashes = ["sha256-" + base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in own]
    assert sorted(allowed) == sorted(hashes)
    assert len(own) == 3


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    page = written(made_timeline(hostile=True), tmp_path)
    kinds = [tag for tag, _ in page.elements]
    assert kinds.count("script") == 2
    assert not [found for tag, found in page.elements if tag == "img" and not str(found["src"]).startswith("data:")]
    assert page.text.count("{{ 7 * 7 }}") > 6
    assert page.data["source"] == HOSTILE
    assert page.data["segments"][0]["text"] == HOSTILE
    assert "<" not in page.raw["script"][0]
    assert "\u2028" not in page.raw["script"][0]


def test_half_characters_do_not_keep_a_report_from_being_written(tmp_path: Path) -> None:
    page = written(replace(made_timeline(), words_from="\ud83d.srt"), tmp_path)
    assert r"\ud83d.srt" in page.text


def test_the_data_hold_what_the_timeline_says(tmp_path: Path) -> None:
    timeline = made_timeline()
    data = written(timeline, tmp_path).data
    first, own = data["segments"][0], timeline.segments[0]
    assert data["labels"] == list(LABELS)
    assert len(data["segments"]) == 6
    assert (first["start"], first["end"]) == (0, 3.8)
    assert first["probabilities"] == [round(emotion.probability, 4) for emotion in own.emotions]
    assert [each.get("decided", []) for each in data["segments"]] == [list(each.decided) for each in timeline.segments]
    assert first["evidence"]["without"]["text"] == 0.31
    assert len(first["evidence"]["moments"]) == 6
    assert first["evidence"]["moments"][0]["image"].startswith("data:image/webp;base64,")


@pytest.mark.parametrize("segments", [0, 1])
def test_short_recordings_have_a_report(segments: int, tmp_path: Path) -> None:
    page = written(made_timeline(segments, people=segments), tmp_path)
    assert len(page.data["segments"]) == segments
    assert ("There are no segments" in page.text) == (segments == 0)


def test_ten_minutes_with_evidence_are_less_than_5_mb(tmp_path: Path) -> None:
    write_report(made_timeline(150), tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 5_000_000


def test_all_segments_can_be_printed(tmp_path: Path) -> None:
    page = written(made_timeline(60), tmp_path)
    assert [tag for tag, _ in page.elements].count("tr") >= 60
    assert page.text.count("I did not think") >= 59


@pytest.mark.parametrize("name", ["talk.mp4", "an #odd 100% näme?.mp4", "javascript:alert(1).mp4"])
def test_a_recording_beside_the_report_is_played(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    page = written(made_timeline(source=name), tmp_path)
    (video,) = [found for tag, found in page.elements if tag == "video"]
    assert str(video["src"]).startswith("./")
    assert not set(str(video["src"])[2:]) & set("#?:/ ")


def test_a_recording_elsewhere_is_not_named_as_a_source(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "talk.mp4").touch()
    page = written(made_timeline(), tmp_path, video=tmp_path / "media" / "talk.mp4")
    (video,) = [found for tag, found in page.elements if tag == "video"]
    assert "src" not in video
    assert "hidden" in video


@pytest.mark.parametrize("image", ["bm90IGFuIGltYWdl", "<svg onload=alert(1)>", "PHN2Zy8+", "ä"])
def test_what_is_no_image_is_left_out(image: str, tmp_path: Path) -> None:
    timeline = made_timeline(1)
    found = timeline.segments[0].evidence
    assert found is not None
    moment = Moment(modality="visual", start_s=0, end_s=1, effect=0.1, image=image)
    segment = replace(timeline.segments[0], evidence=replace(found, moments=(moment,)))
    people = tuple(replace(person, thumbnail=image) for person in timeline.people)
    page = written(replace(timeline, segments=(segment,), people=people), tmp_path)
    assert page.data["segments"][0]["evidence"]["moments"][0]["image"] == ""
    assert "img" not in [tag for tag, _ in page.elements]


def test_a_report_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        write_report(made_timeline(1), tmp_path / "absent" / "report.html")
    with pytest.raises(UserError, match="cannot be written"):
        write_report(made_timeline(1), tmp_path)


def test_shares_count_time() -> None:
    timeline = made_timeline(6)
    shares = decision_shares(timeline.segments)
    assert sum(part for _, part in shares) == pytest.approx(1)
    assert shares[0][0] in headline(timeline)
    assert decision_shares([]) == []
    assert "Nothing" in headline(made_timeline(0))


def test_times_and_shares_are_written_for_people() -> None:
    assert [clock(each) for each in (0, 59.96, 3723.4, -1)] == ["0:00.0", "1:00.0", "1:02:03.4", "0:00.0"]
    assert [duration(each) for each in (4.21, 200, 3900)] == ["4.2 s", "3 min 20 s", "1 h 5 min"]
    assert [share(each) for each in (0, 0.001, 0.314)] == ["0 %", "less than 1 %", "31 %"]


def test_a_model_card_becomes_blocks() -> None:
    assert markdown_blocks("---\nlicense: mit\n---\n" + CARD) == [
        ("heading", "Card"),
        ("paragraph", "Trained end to end, see it (https://example.org)."),
        ("list", ["one", "two"]),
        ("table", [["a", "b"], ["1", "2"]]),
    ]


@pytest.mark.parametrize(("dark", "background"), [(False, LIGHT_BACKGROUND), (True, DARK_BACKGROUND)])
def test_colours_stand_out_from_their_background(dark: bool, background: str) -> None:
    colours = list(emotion_colours([str(number) for number in range(12)], dark=dark).values())
    assert len(set(colours)) == 12
    for colour in colours:
        lighter, darker = sorted((_luminance(colour), _luminance(background)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 3


def _luminance(colour: str) -> float:
    linear = [
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4
        for each in (part / 255 for part in rgb(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize(("segments", "hostile"), [(0, False), (1, False), (6, True), (2000, False)])
def test_a_browser_draws_it_without_an_error(segments: int, hostile: bool, tmp_path: Path) -> None:
    timeline = made_timeline(segments, people=min(segments, 4), hostile=hostile, with_evidence=segments < 100)
    write_report(timeline, tmp_path / "report.html")
    seen = subprocess.run(
        [
            *(str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"),
            *("--enable-logging=stderr", "--v=0", f"--user-data-dir={tmp_path / 'profile'}"),
            *("--virtual-time-budget=3000", "--dump-dom", (tmp_path / "report.html").as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in seen.stderr
    assert f'data-drawn="{segments}"' in seen.stdout
    assert seen.stdout.count('data-index="') == min(segments, 50)
