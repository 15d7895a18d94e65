"""The model mini from raw data to the weights in the package, one command per stage."""
