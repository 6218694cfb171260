from artifactd.discovery.watch_selftest import self_test


def test_the_installed_watchdog_passes_its_own_test() -> None:
    assert self_test(20.0) is None
