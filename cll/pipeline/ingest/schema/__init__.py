"""Schema of the data: inferred once, and checked against all later data."""
