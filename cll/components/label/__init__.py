"""Labels: compute what is predicted for each row, from incidents or outcomes."""
