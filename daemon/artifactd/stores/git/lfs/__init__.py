"""Large files beside a repository: Git LFS."""
