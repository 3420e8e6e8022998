"""The pages of the desks, one module for what belongs together; each registers its routes by name of place."""
