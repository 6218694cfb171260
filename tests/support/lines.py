"""What the log was told, as values."""

from typing import NoReturn

from structlog.testing import LogCapture
from structlog.typing import EventDict, WrappedLogger

from artifactd.log.together import spread


class Lines(LogCapture):
    """Keeps every line, those of a commit each by itself."""

    def __call__(self, logger: WrappedLogger, method_name: str, event_dict: EventDict) -> NoReturn:
        *others, last = spread(event_dict)
        self.entries += [{**line, "log_level": method_name} for line in others]
        super().__call__(logger, method_name, last)
