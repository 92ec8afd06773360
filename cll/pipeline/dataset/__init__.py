"""Labelled rows, read from the stages' tables, for train, evaluate and replay."""
