"""The stages of dvc.yaml: a folder a stage, pure steps inside, wired in stages.py."""
