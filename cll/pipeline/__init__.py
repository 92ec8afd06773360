"""Stages of dvc.yaml: one package per stage holds its pure steps, and stages.py connects them to disk."""
