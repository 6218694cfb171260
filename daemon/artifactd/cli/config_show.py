"""`artifactd config show`: every effective value."""

from artifactd.cli.configuration import configuration
from artifactd.cli.options.config import ConfigPath
from artifactd.cli.terminal import AsJson, lines, table


def config_show(config: ConfigPath = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - typer's way to a flag
    """Print every effective value and where it came from. Secrets show as set or not set."""
    rows = configuration(config).effective()
    if as_json:
        lines({"key": row.key, "value": row.value, "source": row.source} for row in rows)
    else:
        table(("key", "value", "from"), rows)
