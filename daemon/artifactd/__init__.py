"""artifactd: exports Driverless AI's finished artifacts to a store the company controls."""

from importlib.metadata import version

__version__ = version("artifactd")
