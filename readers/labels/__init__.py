"""Labels that come later, and which captured rows they belong to."""
