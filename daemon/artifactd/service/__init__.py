"""Running it: the daemon and one pass, reload, the control socket, systemd."""
