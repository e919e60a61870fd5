"""What `avzsl inspect` finds in a store of features."""
