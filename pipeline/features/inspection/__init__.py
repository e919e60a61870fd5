"""`avzsl inspect`: the content of a feature file, and damage to it."""
