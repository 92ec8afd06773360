"""`cll tick`, `cll loop` and `cll status`: the loop that keeps the model fresh."""
