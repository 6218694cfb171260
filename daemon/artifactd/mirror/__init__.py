"""Carrying artifacts to their stores: one thread decides, one inbox takes in what others found."""
