"""The priors: sparse transformers over codes, and all they are conditioned on."""
