"""How good a model is: reconstruction, likelihood, codebooks."""
