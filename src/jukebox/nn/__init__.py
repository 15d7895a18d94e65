"""Building blocks that the VQ-VAE and the priors share."""
