"""Singing: words to phones, phones onto notes, spoken sound stretched and pitched."""
