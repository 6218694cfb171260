"""Where copies go. `base` has the contract; each other file is one store and the only home of its SDK."""
