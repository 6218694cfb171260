"""Lists end, or are an error: a server that only says that there is more is not believed for ever."""

import itertools

import pytest

from artifactd.stores.base import Unavailable
from artifactd.stores.objects.listing import MOST_EMPTY, Page, listed


def test_a_list_is_its_pages_in_their_order() -> None:
    pages = {"": Page(["a", "b"], "1"), "1": Page([], "2"), "2": Page(["c"], "")}
    assert list(listed(pages.__getitem__, "")) == ["a", "b", "c"]


def test_a_page_that_begins_the_next_where_it_began_is_an_error_after_its_names() -> None:
    names = listed(lambda _: Page(["a"], "the same"), "a list")
    assert [next(names), next(names)] == ["a", "a"]
    with pytest.raises(Unavailable, match="a list: "):
        next(names)


def test_pages_without_a_name_come_to_an_end() -> None:
    asked = itertools.count()
    with pytest.raises(Unavailable, match="a list: "):
        list(listed(lambda _: Page([], f"{next(asked)} more"), "a list"))
    assert next(asked) == MOST_EMPTY


def test_a_name_now_and_then_is_progress() -> None:
    def page(after: str) -> Page:
        number = int(after or 0) + 1
        return Page(["a"] * (number % MOST_EMPTY == 0), str(number) if number < 3 * MOST_EMPTY else "")

    assert list(listed(page, "")) == ["a"] * 3
