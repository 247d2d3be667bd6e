"""Why a segment got its answer: what its probability is with parts of the segment hidden."""
