"""MTCNN: from images to face boxes, in batches.

Three stages: the P-net proposes boxes on a pyramid of shrunk images, the R-net weeds them out, the O-net decides and
places landmarks. The R- and O-net see the candidates of all images together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mme2e.config import FaceSettings
from mme2e.faces.boxes import area, shifted, squared, suppress
from mme2e.faces.networks import CELL_PX, MTCNN, OUTPUT_PX, REFINE_PX, STRIDE_PX, normalise

THRESHOLDS = (0.6, 0.7, 0.7)  # least probability after P-, R- and O-net
PYRAMID_FACTOR = 0.709  # each level has half the area of the one before
REFERENCE_FACE_PX = 20  # smallest face of the reference setting
FAST_FACE_SHARE = 1 / 10  # smallest face of the fast setting, of the image's shorter side ...
FAST_FACE_PX = 48  # ... but never more than the side of the models' crop: a smaller face shows less than they can see
FAST_SAMPLES = 2  # the fast setting averages at least so many pixels each way where it shrinks, not always all
PIXELS_AT_A_TIME = {"cpu": 1 << 18, "cuda": 1 << 24}  # of the P-net: a CPU is fastest while they fit its cache
CROPS_AT_A_TIME = 512


@dataclass(frozen=True, kw_only=True)
class Faces:
    """The faces of one image, the largest first.

    Attributes:
        boxes: (faces, 4) float32: x1, y1, x2, y2 in pixels; may reach over the image's edge.
        probabilities: (faces,) float32.
        landmarks: (faces, 5, 2) float32, x and y in pixels: eyes, nose, corners of the mouth.
    """

    boxes: np.ndarray
    probabilities: np.ndarray
    landmarks: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True)
class _Candidates:
    """Boxes after a stage, of all images together.

    Attributes:
        image: (n,) int64, which image.
        boxes: (n, 4).
        scores: (n,), probability of a face.
        shifts: (n, 4), how the stage's network moves the edges, in shares of the sides.
    """

    image: Tensor
    boxes: Tensor
    scores: Tensor
    shifts: Tensor

    def __getitem__(self, chosen: Tensor) -> "_Candidates":
        return _Candidates(self.image[chosen], self.boxes[chosen], self.scores[chosen], self.shifts[chosen])

    def suppressed(self, threshold: float) -> "_Candidates":
        return self[suppress(self.boxes, self.scores, self.image, threshold)]


class FaceDetector:
    """Finds the faces of images.

    `settings.mode` "reference" gives the boxes of facenet-pytorch: faces from 20 px. "fast" begins with faces of a
    tenth of the shorter side, at least 20 and at most 48 px, shrinks each level of the pyramid from the one before,
    and passes over pixels where it shrinks a lot.

    Args:
        settings: Mode and margin.
        device: Where the networks run.
    """

    def __init__(self, settings: FaceSettings, device: torch.device | str = "cpu") -> None:
        self.settings = settings
        self.device = torch.device(device)
        self._networks = MTCNN().to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def smallest_face_px(self, height_px: int, width_px: int) -> float:
        """Side of the smallest face that is looked for in an image of this size, in pixels."""
        if self.settings.mode == "reference":
            return REFERENCE_FACE_PX
        return min(max(min(height_px, width_px) * FAST_FACE_SHARE, REFERENCE_FACE_PX), FAST_FACE_PX)

    @torch.inference_mode()
    def detect(self, images: Sequence[np.ndarray], *, smallest_px: float = 0.0) -> list[Faces]:
        """Finds all faces of each image.

        Args:
            images: (height, width, 3) uint8 RGB each, of any sizes; too small for a face is no error.
            smallest_px: Side of the smallest window, where that is more than the settings say; a face may be found
                that is somewhat smaller than its window.

        Returns:
            One `Faces` an image, in order.

        Raises:
            ValueError: An image has another shape or dtype.
        """
        tensors = [self._tensor(image) for image in images]
        if not tensors:
            return []
        proposed = self._propose(tensors, smallest_px)
        boxes = squared(shifted(proposed.boxes, proposed.shifts))
        refined = self._refine(tensors, proposed.image, boxes)
        boxes = squared(shifted(refined.boxes, refined.shifts, inclusive=True))
        return self._decide(tensors, refined.image, boxes)

    @torch.inference_mode()
    def confirm(self, images: Sequence[np.ndarray], boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Asks the O-net alone whether each image shows a face in the given box, and where exactly.

        Args:
            images: (height, width, 3) uint8 RGB each.
            boxes: (images, 4), one box an image.

        Returns:
            Boxes (images, 4) float32 and probabilities (images,) float32; 0 for a box outside of its image.
        """
        tensors = [self._tensor(image) for image in images]
        given = squared(torch.as_tensor(boxes, dtype=torch.float32, device=self.device).view(-1, 4))
        judged, _ = self._judge(tensors, torch.arange(len(tensors), device=self.device), given)
        moved = shifted(judged.boxes, judged.shifts, inclusive=True)
        return moved.cpu().numpy(), judged.scores.cpu().numpy()

    def _tensor(self, image: np.ndarray) -> Tensor:
        """(height, width, 3) uint8 -> (3, height, width) uint8, the channels lying together."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ValueError(f"an image must be (height, width, 3) uint8 RGB, not {image.shape} {image.dtype}")
        return torch.from_numpy(np.require(image, requirements=["C", "W"])).to(self.device).permute(2, 0, 1)

    def _propose(self, images: list[Tensor], smallest_px: float) -> _Candidates:
        """First stage: P-net on the pyramids of all images."""
        by_size: dict[torch.Size, list[int]] = {}
        for i, image in enumerate(images):
            by_size.setdefault(image.shape, []).append(i)
        found: list[_Candidates] = []
        for (_, height_px, width_px), members in by_size.items():
            first_scale = CELL_PX / max(self.smallest_face_px(height_px, width_px), smallest_px)
            pixels = height_px * width_px * first_scale**2
            at_a_time = max(1, int(PIXELS_AT_A_TIME.get(self.device.type, PIXELS_AT_A_TIME["cpu"]) / pixels))
            for block in torch.tensor(members, device=self.device).split(at_a_time):
                stack = torch.stack([self._thinned(images[i], 1 / first_scale) for i in block.tolist()]).float()
                pyramid = self._pyramid(stack, height_px, width_px, first_scale)
                found += [self._propose_at(level, scale, block) for scale, level in pyramid]
        if not found:  # all images are smaller than the smallest face
            nothing = torch.zeros(0, 4, device=self.device)
            return _Candidates(nothing[:, 0].long(), nothing, nothing[:, 0], nothing)
        joined = (torch.cat([getattr(c, f.name) for c in found]) for f in fields(_Candidates))
        return _Candidates(*joined).suppressed(0.7)

    def _thinned(self, image: Tensor, shrink: float) -> Tensor:
        """(3, height, width), with rows and columns left out in the fast setting if it will be shrunk a lot."""
        stride = max(1, int(shrink / FAST_SAMPLES)) if self.settings.mode == "fast" else 1
        return image[:, ::stride, ::stride]

    def _pyramid(self, images: Tensor, height_px: int, width_px: int, scale: float) -> Iterator[tuple[float, Tensor]]:
        """(batch, 3, rows, columns) 0..255 of one size -> scales and shrunk images, as long as a window fits in."""
        while min(height_px, width_px) * scale >= CELL_PX:
            level = F.interpolate(images, (int(height_px * scale + 1), int(width_px * scale + 1)), mode="area")
            yield scale, level
            if self.settings.mode == "fast":
                images = level  # shrinking the small image again costs next to nothing
            scale *= PYRAMID_FACTOR

    def _propose_at(self, level: Tensor, scale: float, members: Tensor) -> _Candidates:
        """P-net on one level of the images `members`; the boxes are those of the full image."""
        level = normalise(level).contiguous(memory_format=torch.channels_last)
        probabilities, shifts = self._networks.pnet(level)
        image, row, column = (probabilities >= THRESHOLDS[0]).nonzero(as_tuple=True)
        first = torch.stack([column, row], 1) * STRIDE_PX + 1
        boxes = torch.cat([first, first + CELL_PX - 1], 1).div(scale).floor()
        scores, shifts = probabilities[image, row, column], shifts[image, :, row, column]
        return _Candidates(members[image], boxes, scores, shifts).suppressed(0.5)

    def _refine(self, images: list[Tensor], image: Tensor, boxes: Tensor) -> _Candidates:
        """Second stage: R-net."""
        crops, inside = self._crops(images, image, boxes, REFINE_PX)
        outputs = [self._networks.rnet(normalise(block)) for block in crops.split(CROPS_AT_A_TIME)]
        scores, shifts = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        refined = _Candidates(image, boxes, scores * inside, shifts)
        return refined[refined.scores > THRESHOLDS[1]].suppressed(0.7)

    def _judge(self, images: list[Tensor], image: Tensor, boxes: Tensor) -> tuple[_Candidates, Tensor]:
        """O-net on square boxes; also returns the landmarks (n, 5, 2) in pixels."""
        crops, inside = self._crops(images, image, boxes, OUTPUT_PX)
        outputs = [self._networks.onet(normalise(block)) for block in crops.split(CROPS_AT_A_TIME)]
        scores, shifts, landmarks = (torch.cat(parts) for parts in zip(*outputs, strict=True))
        size = (boxes[:, 2:] - boxes[:, :2] + 1)[:, None]
        return _Candidates(image, boxes, scores * inside, shifts), boxes[:, None, :2] - 1 + landmarks * size

    def _decide(self, images: list[Tensor], image: Tensor, boxes: Tensor) -> list[Faces]:
        """Third stage: O-net; then the faces are sorted by image and size."""
        judged, landmarks = self._judge(images, image, boxes)
        sure = judged.scores > THRESHOLDS[2]
        judged, landmarks = judged[sure], landmarks[sure]
        boxes = shifted(judged.boxes, judged.shifts, inclusive=True)
        last_pixel = torch.tensor([0, 0, 1, 1], device=self.device)
        kept = suppress(boxes + last_pixel, judged.scores, judged.image, 0.7, of_smaller=True)
        kept = kept[area(boxes[kept]).argsort(descending=True, stable=True)]
        found = judged.image[kept].cpu().numpy()
        columns = [x[kept].cpu().numpy() for x in (boxes, judged.scores, landmarks)]
        faces = []
        for i in range(len(images)):
            mine = [column[found == i] for column in columns]
            faces.append(Faces(boxes=mine[0], probabilities=mine[1], landmarks=mine[2]))
        return faces

    def _crops(self, images: list[Tensor], image: Tensor, boxes: Tensor, size_px: int) -> tuple[Tensor, Tensor]:
        """Cuts boxes and shrinks them with area interpolation; a box is clipped to its image, in whole pixels.

        Args:
            images: (3, height, width) uint8 each.
            image: (n,) int64.
            boxes: (n, 4), first and last pixel counted from 1, as the networks were trained.
            size_px: Side of the crops.

        Returns:
            Crops (n, 3, size, size) float32 0..255, and (n,) bool, False where the box lies outside: that crop is zero.
        """
        crops = torch.zeros(len(boxes), 3, size_px, size_px, device=boxes.device)
        crops = crops.contiguous(memory_format=torch.channels_last)
        inside = torch.zeros(len(boxes), dtype=torch.bool)
        for n, (i, (x1, y1, x2, y2)) in enumerate(zip(image.tolist(), boxes.trunc().long().tolist(), strict=True)):
            cut = images[i][:, max(y1 - 1, 0) : max(y2, 0), max(x1 - 1, 0) : max(x2, 0)]
            if cut.numel():
                cut = self._thinned(cut, min(cut.shape[1:]) / size_px)
                crops[n] = F.adaptive_avg_pool2d(cut[None].float(), size_px)[0]
                inside[n] = True
        return crops, inside.to(boxes.device)
