"""Config files: loading, safety checks, and construction of the components that they name."""
