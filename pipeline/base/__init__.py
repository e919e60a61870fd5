"""Code that every stage needs; it depends on neither videos nor networks."""
