"""Raw utterances to a prepared corpus."""
