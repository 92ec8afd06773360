"""`cll replay`: the loop over history, to compare policies."""
