"""What is to be done: pure, without clock, chance, file, network or log."""
