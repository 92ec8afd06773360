"""`cll verify`: proofs of the promises, on this project's own data."""
