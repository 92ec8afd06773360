"""Stage compose: compose conf/ and params.yaml into resolved.yaml."""
