"""What a thing is called over there: mapping files, code lists and the engine that applies them."""
