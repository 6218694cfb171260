import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactd.artifact import Artifact, Digest, InvalidKey, Key, Kind
from artifactd.decisions.layout import kind_of
from artifactd.decisions.policy import (
    BUILT_IN,
    Action,
    Decision,
    InvalidTemplate,
    LeftAlone,
    Policy,
    Rule,
    Template,
    Unnameable,
    Wanted,
    beside,
)

IGNORE = Action.IGNORE


def an_artifact(
    inside: str | bytes = "mojo_pipeline/mojo.zip", user: str = "alice", experiment: str = "e1"
) -> Artifact:
    path = inside.encode() if isinstance(inside, str) else inside
    return Artifact(b"u/h2oai_experiment_e1/" + path, user, experiment, path, kind_of(path))


def decide(*rules: Rule, artifact: Artifact | None = None, size: int = 100) -> Decision:
    return Policy.of(rules).decide(artifact or an_artifact(), size)


# --- conditions ---


@pytest.mark.parametrize(
    ("pattern", "inside", "matches"),
    [
        ("*.zip", "mojo_pipeline/mojo.zip", True),  # no "/": the file's name
        ("*.zip", "a.zip", True),
        ("*.ZIP", "a.zip", False),
        ("mojo_pipeline/*.zip", "mojo_pipeline/mojo.zip", True),
        ("mojo_pipeline/*", "mojo_pipeline/a/b", False),
        ("mojo_pipeline/**", "mojo_pipeline/a/b", True),
        ("**/b", "a/b", True),
        ("**/b", "b", True),
        ("{a,b}.csv", "b.csv", True),
        ("[ab].csv", "a.csv", True),
        ("*", ".hidden", True),
        ("*", "a\nb", True),
        ("?.csv", "é.csv", True),
        ("!a.csv", "b.csv", False),  # no negation: an "ignore" rule says that
        ("!a.csv", "!a.csv", True),
        ("~", "~", True),
        ("résumé*", "re\u0301sume\u0301.csv", True),
        ("re\u0301sume\u0301*", "résumé.csv", True),
    ],
)
def test_a_glob_looks_at_the_path_in_the_experiments_folder(pattern: str, inside: str, matches: bool) -> None:  # noqa: FBT001 - a column of the table
    assert Rule("r", match=(pattern,)).matches(an_artifact(inside), 1) is matches


def test_a_name_that_is_no_text_is_matched_all_the_same() -> None:
    assert Rule("r", match=("*.csv",)).matches(an_artifact(b"\xff.csv"), 1)


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (Rule("r"), True),
        (Rule("r", match=("*.csv", "*.zip")), True),
        (Rule("r", kinds=(Kind.MOJO_PIPELINE, Kind.LOGS)), True),
        (Rule("r", kinds=(Kind.LOGS,)), False),
        (Rule("r", users=("bob", "al*")), True),
        (Rule("r", users=("AL*",)), False),
        (Rule("r", users=("lic",)), False),
        (Rule("r", experiments=("e?",)), True),
        (Rule("r", experiments=("f*",)), False),
        (Rule("r", min_size=100), True),
        (Rule("r", min_size=101), False),
        (Rule("r", max_size=100), True),
        (Rule("r", max_size=99), False),
        (Rule("r", min_size=0, max_size=0), False),
        (Rule("r", match=("*.zip",), users=("bob",)), False),
    ],
)
def test_a_rule_matches_where_all_its_conditions_hold(rule: Rule, matches: bool) -> None:  # noqa: FBT001 - a column of the table
    assert rule.matches(an_artifact(), 100) is matches


@pytest.mark.parametrize(("written", "user"), [("jos\u00e9", "jose\u0301"), ("jose\u0301", "jos\u00e9")])
def test_a_user_is_the_same_in_either_spelling(written: str, user: str) -> None:
    assert Rule("r", users=(written,)).matches(an_artifact(user=user), 1)
    assert Rule("r", experiments=(written,)).matches(an_artifact(experiment=user), 1)


# --- decisions ---


def test_the_first_rule_that_matches_decides() -> None:
    logs, everything = Rule("no-logs", IGNORE, kinds=(Kind.LOGS,)), Rule("all")
    log = an_artifact("h2oai_experiment_logs_e1.zip")
    assert decide(logs, everything, artifact=log) == LeftAlone("rule 'no-logs' ignores it", "no-logs")
    assert decide(logs, everything) == Wanted(Key("alice/e1/mojo.zip"), "all")
    assert isinstance(decide(everything, logs, artifact=log), Wanted)


def test_what_no_rule_names_is_left_alone_without_a_record() -> None:
    left = decide(Rule("csv", match=("*.csv",)))
    assert left == LeftAlone("no rule names it", None)
    assert not left.on_record


def test_what_a_rule_ignores_goes_on_record() -> None:
    left = decide(Rule("none", IGNORE))
    assert isinstance(left, LeftAlone)
    assert left.on_record


@pytest.mark.parametrize(
    ("inside", "wanted"),
    [
        ("scoring_pipeline/scorer.zip", True),
        ("mojo_pipeline/mojo.zip", True),
        ("train_preds.csv", True),
        ("valid_preds.csv", True),
        ("test_preds.csv", True),
        ("k_preds_0a1b2c3d.csv", True),
        ("h2oai_experiment_summary_k.zip", True),
        ("h2oai_experiment_logs_k.zip", True),
        ("report_0a1b2_tmp/report.docx", False),
        ("h2oai_experiment_k.dai", False),
        ("data.1.bin.munged_train.csv", False),
        ("model.pickle", False),
        ("notes.txt", False),
    ],
)
def test_without_rules_the_guides_menu_is_exported(inside: str, wanted: bool) -> None:  # noqa: FBT001 - a column of the table
    assert Policy.of([]) == Policy(BUILT_IN)
    assert isinstance(decide(artifact=an_artifact(inside)), Wanted) is wanted


# --- names ---


@pytest.mark.parametrize(
    ("template", "inside", "key"),
    [
        ("{name}", "mojo_pipeline/mojo.zip", "alice/e1/mojo.zip"),
        ("{path}", "mojo_pipeline/mojo.zip", "alice/e1/mojo_pipeline/mojo.zip"),
        ("{kind}{suffix}", "mojo_pipeline/mojo.zip", "alice/e1/mojo_pipeline.zip"),
        ("{stem}-{user}-{experiment_id}{suffix}", "a.tar.gz", "alice/e1/a.tar-alice-e1.gz"),
        ("{stem}|{suffix}", "plain", "alice/e1/plain|"),
        ("{{{name}}}", "a", "alice/e1/{a}"),
        ("fixed", "a", "alice/e1/fixed"),
        ("{name}", "re\u0301sume\u0301", "alice/e1/résumé"),
        ("{name}", "{user}", "alice/e1/{user}"),
    ],
)
def test_a_template_makes_the_key(template: str, inside: str, key: str) -> None:
    rule = Rule("r", template=Template(template))
    assert decide(rule, artifact=an_artifact(inside)) == Wanted(Key(key), "r")


@pytest.mark.parametrize(
    "text", ["{", "}", "{}", "{0}", "{nam}", "{name.upper}", "{name[0]}", "{name!r}", "{name:>9}"]
)
def test_a_template_that_cannot_be_filled_in_says_what_may_stand_in_it(text: str) -> None:
    with pytest.raises(InvalidTemplate) as caught:
        Template(text)
    assert str(caught.value).startswith(repr(text))
    assert "{name}, {stem}" in str(caught.value) or text in {
        "{",
        "}",
    }  # there Python says which brace has no other


@pytest.mark.parametrize(
    ("artifact", "template"),
    [
        (an_artifact(), "../{name}"),
        (an_artifact(), "/{name}"),
        (an_artifact(), ""),
        (an_artifact(b"\xff.zip"), "{name}"),
        (an_artifact(".hidden"), "{name}"),
        (an_artifact(user="../bob"), "{name}"),
        (an_artifact(user=".."), "{name}"),
        (an_artifact(experiment="\udcff"), "{name}"),
        (an_artifact("x" * 255), "{name}{name}"),
    ],
)
def test_what_cannot_be_named_is_wanted_and_says_why(artifact: Artifact, template: str) -> None:
    decision = decide(Rule("r", template=Template(template)), artifact=artifact)
    assert isinstance(decision, Unnameable)
    assert decision.rule == "r"
    assert decision.reason.startswith("no key can be made: ")


@pytest.mark.parametrize("name", ["a.csv ", "a\\b.csv", "c:a.csv", "a\u3164.csv"])
def test_what_would_deceive_is_not_named_so_any_more_and_its_old_name_is_known(name: str) -> None:
    decision = decide(Rule("r"), artifact=an_artifact(name))
    assert isinstance(decision, Unnameable)
    assert decision.reason.startswith("no key can be made: ")
    assert decision.key == Key(f"alice/e1/{name}")


@given(
    user=st.text(),
    inside=st.binary(min_size=1),
    template=st.sampled_from(["{name}", "{path}", "{user}/{stem}"]),
)
def test_a_wanted_copy_lies_below_its_users_folder(user: str, inside: bytes, template: str) -> None:
    decision = decide(Rule("r", template=Template(template)), artifact=an_artifact(inside, user=user))
    assert isinstance(decision, Wanted | Unnameable)
    if isinstance(decision, Wanted):
        assert decision.key.text.startswith(Key.of(user, "e1").text + "/")


# --- by hand ---


@pytest.mark.parametrize(
    ("rules", "name", "expected"),
    [
        ([], None, Wanted(Key("alice/e1/mojo.zip"), "built-in: export menu")),
        ([Rule("r", template=Template("x"))], None, Wanted(Key("alice/e1/x"), "r")),
        ([Rule("r", template=Template("x"))], "y.zip", Wanted(Key("alice/e1/y.zip"), "by hand")),
        ([Rule("r", match=("*.csv",))], None, Wanted(Key("alice/e1/mojo.zip"), "by hand")),
        ([Rule("r", match=("*.csv",))], "a/{name}", Wanted(Key("alice/e1/a/{name}"), "by hand")),
        ([Rule("r", template=Template("../x"))], None, Wanted(Key("alice/e1/mojo.zip"), "by hand")),
        ([Rule("r", IGNORE)], "y.zip", LeftAlone("rule 'r' ignores it", "r")),
    ],
)
def test_by_hand_everything_is_exported_but_what_a_rule_ignores(
    rules: list[Rule], name: str | None, expected: Decision
) -> None:
    assert Policy.of(rules).by_hand(an_artifact(), 100, name) == expected


def test_a_name_given_by_hand_must_make_a_key() -> None:
    decision = Policy.of([]).by_hand(an_artifact(), 100, "../../bob/e1/x")
    assert isinstance(decision, Unnameable)
    assert decision.rule == "by hand"


# --- another version ---


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("u/e/mojo.zip", "u/e/mojo.0123456789ab.zip"),
        ("u/e/a.tar.gz", "u/e/a.tar.0123456789ab.gz"),
        ("u/e/plain", "u/e/plain.0123456789ab"),
        ("a", "a.0123456789ab"),
        ("u.x/e/a.longextension", "u.x/e/a.longextension.0123456789ab"),
        ("u/e/a.", "u/e/a..0123456789ab"),
        (r"u/e/a\1.zip", r"u/e/a\1.0123456789ab.zip"),
    ],
)
def test_another_version_lies_beside_the_first(key: str, other: str) -> None:
    assert beside(Key(key), Digest("0123456789abcdef" * 4)) == Key(other)


def test_another_version_of_the_longest_name_has_no_room() -> None:
    with pytest.raises(InvalidKey):
        beside(Key("x" * 255), Digest("0" * 64))
