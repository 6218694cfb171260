import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from artifactd.artifact import Artifact, Kind
from artifactd.decisions.layout import Place, artifact, is_experiment, kind_of, place

UUID = b"6f1c2d3e-0a1b-11ee-8c99-0242ac120002"
FOLDER = b"h2oai_experiment_" + UUID


@pytest.mark.parametrize(
    ("path", "user", "folder", "inside"),
    [
        (b"alice/" + FOLDER + b"/train_preds.csv", b"alice", b"alice/" + FOLDER, b"train_preds.csv"),
        (b"alice/" + FOLDER + b"/a/b/c", b"alice", b"alice/" + FOLDER, b"a/b/c"),
        (FOLDER + b"/mojo_pipeline/mojo.zip", None, FOLDER, b"mojo_pipeline/mojo.zip"),
        (b"h2oai_experiment_bedifabo/x", None, b"h2oai_experiment_bedifabo", b"x"),
        (b"a b@c\xff/h2oai_experiment_k/x", b"a b@c\xff", b"a b@c\xff/h2oai_experiment_k", b"x"),
        # The outermost experiment owns the file.
        (FOLDER + b"/h2oai_experiment_k/x", None, FOLDER, b"h2oai_experiment_k/x"),
        (b"u/" + FOLDER + b"/h2oai_experiment_k/x", b"u", b"u/" + FOLDER, b"h2oai_experiment_k/x"),
    ],
)
def test_a_file_of_an_experiment_has_a_place(
    path: bytes, user: bytes | None, folder: bytes, inside: bytes
) -> None:
    assert place(path) == Place(user, folder, inside)


@pytest.mark.parametrize(
    "path",
    [
        b"master.db",
        b"audit.log",
        b"mli_experiment_" + UUID + b"/x",
        UUID + b"/dataset.bin",
        b"alice/" + UUID + b"/dataset.bin",
        b"alice/mli_experiment_" + UUID + b"/x",
        b"uploads/x",
        b"a/b/" + FOLDER + b"/x",
        FOLDER,
        b"alice/" + FOLDER,
        b"h2oai_experiment_/x",
        b"alice/h2oai_experiment_/x",
        b"h2oai_experiment_h2oai_experiment_k/x",
        b"H2OAI_EXPERIMENT_k/x",
        b"",
    ],
)
def test_a_neighbour_has_no_place(path: bytes) -> None:
    assert place(path) is None


@example([b"a", FOLDER, b"a"])
@given(st.lists(st.sampled_from([b"a", FOLDER, b"h2oai_experiment_", b"\xff"]), min_size=1, max_size=5))
def test_a_place_puts_together_to_the_path_it_came_from(parts: list[bytes]) -> None:
    path = b"/".join(parts)
    found = place(path)
    if found is not None:
        assert found.folder + b"/" + found.inside == path
        assert is_experiment(found.folder.rsplit(b"/", 1)[-1])
        assert found.experiment_id == UUID


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        ("h2oai_experiment_summary_k.zip", Kind.SUMMARY),
        ("h2oai_experiment_logs_k.zip", Kind.LOGS),
        ("mojo_pipeline/mojo.zip", Kind.MOJO_PIPELINE),
        ("scoring_pipeline/scorer.zip", Kind.PYTHON_PIPELINE),
        ("train_preds.csv", Kind.TRAIN_PREDICTIONS),
        ("h2oai_experiment_My Name_train_predictions.csv", Kind.TRAIN_PREDICTIONS),
        ("valid_preds.csv", Kind.VALID_PREDICTIONS),
        ("val_preds.csv", Kind.VALID_PREDICTIONS),
        ("h2oai_experiment_n_val_predictions.csv", Kind.VALID_PREDICTIONS),
        ("test_preds.csv", Kind.TEST_PREDICTIONS),
        ("h2oai_experiment_n_test_predictions.csv", Kind.TEST_PREDICTIONS),
        ("k_preds_0a1b2c3d.csv", Kind.PREDICTIONS),
        ("data.csv.1686.05.bin.munged_train.csv", Kind.TRANSFORMED),
        ("report_0a1b2_tmp/report.docx", Kind.AUTODOC),
        ("report_0a1b2_tmp/report.md", Kind.AUTODOC),
        ("h2oai_experiment_k.dai", Kind.EXPERIMENT),
        ("h2oai_experiment_k.log", Kind.WORKING),
        ("model.pickle", Kind.WORKING),
        ("deep/in/model.pickle", Kind.WORKING),
        ("summary.zip.tmp", Kind.WORKING),
        ("summary.zip.tmp1234", Kind.WORKING),
        ("data.bin", Kind.WORKING),
        ("x.lock", Kind.WORKING),
        ("h2o_model.x", Kind.WORKING),
        ("catboost_info", Kind.WORKING),
        ("k_1_model_folder/anything.zip", Kind.WORKING),
        ("other/mojo_pipeline/mojo.zip", Kind.OTHER),
        ("mojo.zip", Kind.OTHER),
        ("mojo_pipeline/mojo.zip/x", Kind.OTHER),
        ("sub/train_preds.csv", Kind.OTHER),
        ("k_preds_0A1B2C3D.csv", Kind.OTHER),
        ("train_preds.csv\n", Kind.OTHER),
        ("train_preds,csv", Kind.OTHER),
        ("notes.txt", Kind.OTHER),
    ],
)
def test_a_kind_is_told_by_the_place(inside: str, kind: Kind) -> None:
    assert kind_of(inside.encode()) is kind


def test_an_artifact_keeps_its_bytes_and_names_its_user() -> None:
    path = b"alice/h2oai_experiment_k/mojo_pipeline/mojo.zip"
    found = place(path)
    assert found is not None
    assert artifact(path, found, "alice") == Artifact(
        path, "alice", "k", b"mojo_pipeline/mojo.zip", Kind.MOJO_PIPELINE
    )


def test_an_id_that_is_no_text_can_be_told_from_every_other() -> None:
    path = b"u/h2oai_experiment_\xff/x"
    found = place(path)
    assert found is not None
    assert artifact(path, found, "u").experiment_id.encode("utf-8", "surrogateescape") == b"\xff"
