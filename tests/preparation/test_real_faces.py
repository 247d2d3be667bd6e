import io

import numpy as np
import pytest
from PIL import Image
from small_recordings import corpus, utterance

from mme2e.config import PrepareSettings
from mme2e.data.corpus import load_corpus
from mme2e.faces.face_crop import FaceFlag
from mme2e.preparation.corpus import prepare_corpus


@pytest.mark.parametrize(("name", "face"), [("single_face.mp4", True), ("no_face.mp4", False)])
def test_faces_of_real_clips_are_found_and_flagged(tmp_path, shared, name, face):
    clip = shared(f"media/{name}")
    raw = corpus(utterance("u", "r", 0.0, 2.0, video=clip))
    summary = prepare_corpus(raw, tmp_path / "out", PrepareSettings(), source="media")
    row = load_corpus(tmp_path / "out").split("train")[0]
    crops = [np.asarray(Image.open(io.BytesIO(crop))) for crop in row["face_crops"]]
    assert {crop.shape for crop in crops} == {(48, 48, 3)}
    assert len(crops) == len(row["face_flags"]) == len(row["face_times_s"]) == len(row["face_boxes"]) >= 3
    assert [FaceFlag(flag).has_face for flag in row["face_flags"]] == [face] * len(crops)
    assert summary.face_share == float(face)
