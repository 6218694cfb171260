"""From a path below the data directory to the artifact it is, for any version of Driverless AI. Pure.

From about 1.9 an experiment lies at `<user>/h2oai_experiment_<key>/`, before that without the user's folder.
A key is a UUID today and was eight letters once, so its form is not checked.
"""

import re
from dataclasses import dataclass

from artifactd.artifact import Artifact, Kind

EXPERIMENT = b"h2oai_experiment_"
"""How the name of every experiment's folder starts."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path stands: in which experiment's folder, and where in it."""

    user: bytes | None
    """the user's folder; None where the layout has none"""
    folder: bytes
    """the experiment's folder, relative to the data directory"""
    inside: bytes
    """the rest, relative to `folder`"""

    @property
    def experiment_id(self) -> bytes:
        """The folder's name without its fixed start."""
        return self.folder.rsplit(b"/", 1)[-1][len(EXPERIMENT) :]


def is_experiment(name: bytes) -> bool:
    """Whether a folder of this name is an experiment's.

    A key that starts like a folder does is none: exported below a data directory it would look like an
    experiment, and the export would be exported again.
    """
    return name.startswith(EXPERIMENT) and len(name) > len(EXPERIMENT) and not name.startswith(EXPERIMENT * 2)


def place(path: bytes) -> Place | None:
    """The experiment that `path` belongs to; None for a neighbour that is no part of any."""
    parts = path.split(b"/")
    if is_experiment(parts[0]):
        depth = 1
    elif len(parts) > 1 and is_experiment(parts[1]):
        depth = 2
    else:
        return None
    if len(parts) == depth:
        return None
    user = parts[0] if depth == 2 else None  # noqa: PLR2004 - two levels: user, experiment
    return Place(user, b"/".join(parts[:depth]), b"/".join(parts[depth:]))


_KINDS: tuple[tuple[Kind, bytes], ...] = (
    (Kind.SUMMARY, rb"h2oai_experiment_summary_[^/]+\.zip"),
    (Kind.LOGS, rb"h2oai_experiment_logs_[^/]+\.zip"),
    (Kind.MOJO_PIPELINE, rb"mojo_pipeline/mojo\.zip"),
    (Kind.PYTHON_PIPELINE, rb"scoring_pipeline/scorer\.zip"),
    (Kind.TRAIN_PREDICTIONS, rb"train_preds\.csv|h2oai_experiment_[^/]+_train_predictions\.csv"),
    (
        Kind.VALID_PREDICTIONS,
        rb"val(?:id)?_preds\.csv|h2oai_experiment_[^/]+_val(?:id)?_predictions\.csv",
    ),
    (Kind.TEST_PREDICTIONS, rb"test_preds\.csv|h2oai_experiment_[^/]+_test_predictions\.csv"),
    (Kind.PREDICTIONS, rb"[^/]+_preds_[0-9a-f]{8}\.csv"),
    (Kind.TRANSFORMED, rb"[^/]+\.munged_(?:train|valid|test)\.csv"),
    (Kind.AUTODOC, rb"report_[^/]+_tmp/[^/]+\.(?:docx|md)"),
    (Kind.EXPERIMENT, rb"h2oai_experiment_[^/]+\.dai"),
    (
        Kind.WORKING,
        (
            rb"(?:.*/)?(?:[^/]+\.pickle|[^/]*\.tmp[^/]*|[^/]+\.bin|[^/]+\.lock|h2o_model\.[^/]*|catboost[^/]*)"
            rb"|(?:.*/)?[^/]*_model_folder/.*|h2oai_experiment_[^/]+\.log"
        ),
    ),
)
"""Paths in an experiment's folder that Driverless AI is known to write; the first match names the kind."""

# One expression for all of them: every file passes here on every scan.
_KIND = re.compile(b"|".join(b"(?P<%b>%b)" % (kind.encode(), pattern) for kind, pattern in _KINDS), re.DOTALL)


def kind_of(inside: bytes) -> Kind:
    """What the file at `inside`, a path in an experiment's folder, is by its name."""
    found = _KIND.fullmatch(inside)
    return Kind(str(found.lastgroup)) if found else Kind.OTHER


def artifact(path: bytes, found: Place, user: str) -> Artifact:
    """The artifact at `path`, of `user`.

    Bytes of a name that are no UTF-8 stay as lone surrogates in `experiment_id`: no key can be made of them,
    so the policy refuses the artifact with that as its reason.
    """
    return Artifact(
        path=path,
        user=user,
        experiment_id=found.experiment_id.decode("utf-8", "surrogateescape"),
        inside=found.inside,
        kind=kind_of(found.inside),
    )
