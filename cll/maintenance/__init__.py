"""`cll doctor`, `quarantine`, `schema`, `labels`, `gc`: looking after a project."""
