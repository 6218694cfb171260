"""Whether it is well: facts gathered, a verdict, and how they are published."""
