"""What commands take alike: paths, times, how much is said."""
