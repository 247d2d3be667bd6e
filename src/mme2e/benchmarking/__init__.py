"""Operations, seconds and memory of a model."""
