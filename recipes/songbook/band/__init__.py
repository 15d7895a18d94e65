"""Accompaniment: harmony, figures, timbres, the mix, and what is drawn by chance."""
