"""The VQ-VAE: sound to codes and back, one autoencoder per level."""
