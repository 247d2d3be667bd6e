"""Hand-crafted features of a prepared corpus, for the baselines."""

from mme2e.features.extraction import extract_features
from mme2e.features.summary import FeaturesSummary

__all__ = ["FeaturesSummary", "extract_features"]
