"""Hand-crafted features of a prepared corpus, for the baselines."""

from mme2e.hand_crafted.extraction import extract_features
from mme2e.hand_crafted.summary import FeaturesSummary

__all__ = ["FeaturesSummary", "extract_features"]
