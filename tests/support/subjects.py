"""Files as they were seen, with what is wanted of them."""

from artifactd.artifact import Artifact, Kind, Sighting
from artifactd.decisions.assessment import Subject
from artifactd.decisions.layout import artifact, place
from artifactd.decisions.policy import LeftAlone


def a_subject(sighting: Sighting, user: str = "alice", experiment: str = "one") -> Subject:
    """The file as an artifact of its experiment, or of one by that name where it lies in none."""
    found = place(sighting.path)
    if found is None:
        of = Artifact(sighting.path, user, experiment, sighting.path, Kind.OTHER)
    else:
        of = artifact(sighting.path, found, user if found.user is None else found.user.decode())
    return Subject(sighting, of, LeftAlone("nothing is asked of it here", None))
