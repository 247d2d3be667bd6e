"""Faces: found in batches by MTCNN, followed through a video, cropped to 48 px."""

from mme2e.faces.crop import crop_face
from mme2e.faces.detector import FaceDetector, Faces
from mme2e.faces.tracker import FaceCrop, FaceTracker

__all__ = ["FaceCrop", "FaceDetector", "FaceTracker", "Faces", "crop_face"]
