"""`python -m artifactd`, for where the command is not on PATH."""

from artifactd.cli import main

main()
