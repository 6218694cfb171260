"""The suite's assertions explain themselves as a test file's own do."""

import pytest

pytest.register_assert_rewrite("tests.stores.conformance", "tests.stores.harness")
