"""What tests share. The assertions in it explain themselves as a test file's own do."""

import pytest

pytest.register_assert_rewrite("tests.support.harness", "tests.stores.conformance")
