"""Measuring rendered songs: nobody listens, so pitch, timing, words and levels are measured and pictured."""
