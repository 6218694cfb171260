"""`config.toml`, Driverless AI's configuration and the environment → one frozen `Config`, or all problems.

In the order a value goes: `sources` reads and merges, `document` says which keys there are and `values` what
they may hold, `assemble` checks the whole, `effective` is what the daemon uses. All that is configured of one
kind of destination stands in its file of `destinations`. Who only looks for the daemon takes `location`.
"""
