"""Expressions: are eyes open, does a mouth smile, and where a picture may change so that they do."""
