"""Config: what YAML may name and hold, checked before anything is built from it."""
