"""artifactd side by side with what people copy with today. `make bench`; README.md has the results."""
