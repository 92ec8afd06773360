"""Commands `cll tick`, `cll loop` and `cll status`: they keep the model up to date."""
