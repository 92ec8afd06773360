"""`cll verify`: tests of cll's guarantees, run on this project's own data."""
