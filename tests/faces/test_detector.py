import av
import numpy as np
import pytest
from portrait import portrait, scene

from mme2e.config import FaceSettings
from mme2e.faces.crop import crop_face
from mme2e.faces.detector import FaceDetector


@pytest.fixture(scope="module")
def reference():
    return FaceDetector(FaceSettings(mode="reference"))


@pytest.fixture(scope="module")
def fast():
    return FaceDetector(FaceSettings())


@pytest.fixture(params=["fast", "reference"])
def detector(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("clip", ["single_face.mp4", "WolfgangLanger_Pexels.mp4", "no_face.mp4", "face_noface.mov"])
def test_boxes_and_crops_are_the_references(shared, reference, fast, clip):
    name = clip.split(".")[0]
    with np.load(shared("golden/mtcnn.npz")) as golden:
        index, boxes, counts, crops = (
            golden[f"{name}_{part}"] for part in ("frame_index", "boxes", "num_faces", "crops")
        )
    with av.open(str(shared(f"media/{clip}"))) as container:
        images = [f.to_ndarray(format="rgb24") for i, f in enumerate(container.decode(video=0)) if i in set(index)]
    chosen = slice(None, None, 3)  # every third frame is enough, and quick
    images, boxes, counts, crops = images[chosen], boxes[chosen], counts[chosen], crops[chosen]
    for image, box, count, crop, faces, quick in zip(
        images, boxes, counts, crops, reference.detect(images), fast.detect(images), strict=True
    ):
        assert len(faces) == count
        assert len(quick) == count
        if count:
            np.testing.assert_allclose(faces.boxes[0], box, atol=0.01)
            ours = crop_face(image, tuple(faces.boxes[0].tolist())).transpose(2, 0, 1)
            assert np.abs(ours.astype(int) - crop).mean() < 0.05


def test_the_portrait_is_found_with_its_landmarks(detector):
    (faces,) = detector.detect([portrait()])
    assert faces.boxes.shape == (len(faces), 4)
    assert faces.probabilities[0] > 0.9
    x1, y1, x2, y2 = faces.boxes[0]
    assert 100 < x1 < 200 < 300 < x2 < 400
    assert 20 < y1 < 130 < 250 < y2 < 350
    left_eye, right_eye, nose, left_mouth, right_mouth = faces.landmarks[0]
    assert x1 < left_eye[0] < nose[0] < right_eye[0] < x2
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_grey_pictures_have_faces_too(detector):
    grey = np.repeat(portrait().mean(2, keepdims=True), 3, axis=2).astype(np.uint8)
    assert detector.detect([grey])[0].probabilities[0] > 0.9


def test_the_largest_face_comes_first(detector):
    (faces,) = detector.detect([scene(360, 640, (20, 40, 130), (250, 10, 260))])
    assert len(faces) == 2
    assert faces.boxes[0, 0] > 250 > faces.boxes[1, 0]


def test_smaller_faces_are_left_out_when_told(detector):
    picture = scene(360, 640, (20, 40, 130), (250, 10, 260))
    (faces,) = detector.detect([picture], smallest_px=130)
    assert len(faces) == 1
    assert faces.boxes[0, 0] > 250
    assert len(detector.detect([picture], smallest_px=361)[0]) == 0


def test_a_read_only_image_is_no_problem(fast):
    image = portrait().copy()
    image.flags.writeable = False
    assert len(fast.detect([image])[0]) == 1


def test_a_batch_gives_what_each_image_gives(detector):
    images = [
        portrait(),
        scene(360, 640, (20, 40, 130), (250, 10, 260)),
        scene(360, 640),
        np.zeros((1, 1, 3), dtype=np.uint8),
        scene(360, 640, (100, 100, 200)),
    ]
    together = detector.detect(images)
    assert [len(faces) for faces in together] == [1, 2, 0, 0, 1]
    for faces, image in zip(together, images, strict=True):
        alone = detector.detect([image])[0]
        np.testing.assert_allclose(faces.boxes, alone.boxes, atol=0.05)
        np.testing.assert_allclose(faces.landmarks, alone.landmarks, atol=0.05)


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (11, 11), (19, 19), (20, 20), (21, 300)])
def test_images_too_small_for_a_face_have_none(detector, shape):
    (faces,) = detector.detect([np.full((*shape, 3), 128, dtype=np.uint8)])
    assert faces.boxes.shape == (0, 4)
    assert faces.probabilities.shape == (0,)
    assert faces.landmarks.shape == (0, 5, 2)


def test_no_image_gives_no_answer(detector):
    assert detector.detect([]) == []
    boxes, probabilities = detector.confirm([], np.zeros((0, 4)))
    assert boxes.shape == (0, 4)
    assert probabilities.shape == (0,)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((40, 40), np.uint8),
        np.zeros((40, 40, 4), np.uint8),
        np.zeros((40, 40, 3)),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(detector, image):
    with pytest.raises(ValueError, match="must be \\(height, width, 3\\) uint8 RGB"):
        detector.detect([image])


def test_confirming_says_yes_to_the_face_and_no_elsewhere(fast):
    box = fast.detect([portrait()])[0].boxes[0]
    near = box + np.array([8, -6, 8, -6], dtype=np.float32)
    given = np.stack([box, near, box * 0 + [0, 400, 100, 500], box + 5000, box * 0])
    boxes, probabilities = fast.confirm([portrait()] * 5, given)
    assert (probabilities[:2] > 0.9).all()
    assert np.abs(boxes[:2] - box).max() < 25
    assert probabilities[2] < 0.5
    assert probabilities[3:].tolist() == [0, 0]


def test_smallest_face_of_the_fast_setting(fast, reference):
    assert [fast.smallest_face_px(h, w) for h, w in ((100, 90), (360, 640), (1080, 1920))] == [20, 36, 48]
    assert reference.smallest_face_px(1080, 1920) == 20
