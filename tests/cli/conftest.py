"""Sites as commands find them."""

from collections.abc import Iterator

import pytest

from tests.support.process import Site, a_zip


@pytest.fixture(params=["with a daemon", "without"])
def by_hand(request: pytest.FixtureRequest, site: Site) -> Iterator[Site]:
    """A site on which exports by hand are tried both ways."""
    if request.param == "without":
        yield site
    else:
        with site.daemon():
            yield site


@pytest.fixture
def exported(site: Site) -> Site:
    """A site with two proven copies."""
    site.write("train_preds.csv")
    site.write("mojo_pipeline/mojo.zip", a_zip())
    site.ok("sync")
    return site


@pytest.fixture
def busy(site: Site) -> Site:
    """A site with copies in several states."""
    site.write("train_preds.csv")
    site.write("mojo_pipeline/mojo.zip", a_zip(), experiment="two")
    site.write("train_preds.csv", user="bob", experiment="three")
    site.write("h2oai_experiment_logs_one.zip", a_zip(b"logs"))
    foreign = site.exports / "bob" / "three" / "train_preds.csv"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"somebody else's")
    site.configure(
        '[[policy]]\nname = "no logs"\nkinds = ["logs"]\naction = "ignore"\n'
        '[[policy]]\nname = "the rest"\nmatch = "*.{csv,zip}"\n'
    )
    site.command("sync")
    return site
