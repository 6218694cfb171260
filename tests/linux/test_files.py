"""Names of accounts, with and without one."""

import os
import pwd

from artifactd.linux.files import account, in_command

NOBODYS = 3_999_999


def test_an_account_is_told_by_its_name() -> None:
    assert account(0) == pwd.getpwuid(0).pw_name


def test_without_a_user_id_it_is_the_one_that_this_process_runs_as() -> None:
    assert account() == account(os.geteuid())


def test_an_account_without_a_name_is_told_by_its_number_as_its_caller_spells_it() -> None:
    assert account(NOBODYS) == "uid 3999999"
    assert account(NOBODYS, nameless="uid-") == "uid-3999999"


def test_a_command_takes_the_number_of_an_account_without_a_name() -> None:
    assert (in_command(NOBODYS), in_command(0)) == ("3999999", "root")
