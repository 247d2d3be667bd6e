"""The small model that comes with the package: how it is made."""
