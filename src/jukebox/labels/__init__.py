"""Artist, genre, lyrics and time: what a song is conditioned on."""
