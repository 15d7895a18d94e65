"""Songs of any length: windows, tokens, engines."""
