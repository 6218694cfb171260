"""artifactd: exports Driverless AI's finished artifacts to a store the company controls."""

__version__ = "0.1.0"  # the package's own; to read it from the installed metadata costs a tenth of the start
