import json

from mme2e.inference.result import Emotion, EmotionResult


def test_a_name_that_is_not_utf_8_is_written_with_an_escape(tmp_path):
    result = EmotionResult(
        source="caf\udce9.mp4",
        start_s=0.0,
        end_s=1.0,
        emotions=(Emotion(name="happy", probability=0.5, threshold=0.4, present=True),),
        frames=2,
        frames_with_face=0,
        used=("text",),
        missing={"visual": "caf\udce9.mp4 is damaged"},
        notes=("caf\udce9.mp4 has two audio tracks",),
        seconds={},
    )
    result.write_json(tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert written["source"] == r"caf\xe9.mp4"
    assert written["missing"] == {"visual": r"caf\xe9.mp4 is damaged"}
    assert written["notes"] == [r"caf\xe9.mp4 has two audio tracks"]
