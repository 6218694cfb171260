"""A branch of a git repository, on Bitbucket or any other server. The only home of GitPython."""
