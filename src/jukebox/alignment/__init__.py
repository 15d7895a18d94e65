"""Lyrics to time: when each character, word and line of a song is sung, read off a prior's attention."""
