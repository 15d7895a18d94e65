"""Scores: ABC, MusicXML and MIDI with words, read into one form or refused with a sentence."""
