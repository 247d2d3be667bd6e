"""Which sites of a map to keep: ragged softmax and top-p selection."""

from mme2e.ops.top_p.ragged import check_top_p, frame_of_site, ragged_softmax, top_p_mask

__all__ = ["check_top_p", "frame_of_site", "ragged_softmax", "top_p_mask"]
