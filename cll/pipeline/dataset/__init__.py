"""Labelled rows for train, evaluate and replay, joined from the tables of earlier stages."""
