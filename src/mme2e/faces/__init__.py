"""Faces: found in batches by MTCNN, followed through a video, cropped to 48 px."""
