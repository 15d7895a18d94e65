"""The songbook: free scores with words become sung, accompanied songs whose words, notes and times are known."""
