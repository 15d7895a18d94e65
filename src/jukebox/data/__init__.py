"""From a folder of music to crops of sound and of codes, with labels."""
