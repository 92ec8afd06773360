"""`cll replay`: run the loop over past data, to compare policies."""
