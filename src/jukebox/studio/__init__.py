"""The web studio: songs and takes of a folder, heard, compared, gone on with and written in a browser."""
