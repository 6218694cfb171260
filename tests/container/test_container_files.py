"""What lies in `container/`: read as its tools read it, and held against the daemon's own configuration."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import tomli
import yaml

from artifactd.config.assemble import load
from artifactd.config.destinations.file_system import FileSystem
from artifactd.config.destinations.s3 import S3
from artifactd.config.document import SECRETS
from artifactd.config.effective import Config

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "container"
MANIFESTS = sorted((CONTAINER / "kubernetes").glob("*.yaml"))
KUBERNETES = ("1.29", "1.37")
"""The first version with native sidecars, and the newest there is a schema of."""

CONTAINERFILE = (CONTAINER / "Containerfile").read_text()
STATE = Path("/var/lib/artifactd")
SECRET = "a-canary-of-the-tests"  # noqa: S105 - no secret of anybody's


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def compose(*names: str) -> dict[str, Any]:
    """The service `artifactd` of compose files, those later laid over the earlier."""
    merged: dict[str, Any] = {}
    for name in names:
        service = yaml.safe_load((CONTAINER / name).read_text())["services"]["artifactd"]
        environment = {**merged.get("environment", {}), **service.get("environment", {})}
        merged = {**merged, **service, "environment": environment}
    return merged


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod with artifactd in it."""

    path: Path
    """of its manifest"""
    spec: dict[str, Any]
    artifactd: dict[str, Any]

    @property
    def mounts(self) -> dict[str, dict[str, Any]]:
        return {mount["mountPath"]: mount for mount in self.artifactd["volumeMounts"]}

    @property
    def config_map(self) -> str:
        (volume,) = (volume for volume in self.spec["volumes"] if "configMap" in volume)
        return str(volume["configMap"]["name"])

    @property
    def volumes(self) -> set[str]:
        specs = (document["spec"] for document in documents(self.path) if "spec" in document)
        claims = (claim for spec in specs for claim in spec.get("volumeClaimTemplates", ()))
        return {claim["metadata"]["name"] for claim in claims} | {
            volume["name"] for volume in self.spec["volumes"]
        }


def pods() -> Iterator[Pod]:
    for path in MANIFESTS:
        for document in documents(path):
            if document["kind"] == "StatefulSet":
                spec = document["spec"]["template"]["spec"]
                every = [*spec.get("initContainers", ()), *spec["containers"]]
                yield Pod(path, spec, next(one for one in every if one["name"] == "artifactd"))


each_pod = pytest.mark.parametrize("pod", list(pods()), ids=lambda pod: pod.path.stem)


def configured(name: str, directory: Path) -> Config:
    """What the ConfigMap of this name comes to, with the secret that Kubernetes mounts beside it."""
    every = [document for path in MANIFESTS for document in documents(path)]
    maps = [document for document in every if document["kind"] == "ConfigMap"]
    (data,) = (document["data"] for document in maps if document["metadata"]["name"] == name)
    assert data.keys() == {"config.toml"}
    (directory / "config.toml").write_text(data["config.toml"])
    credentials = directory / "credentials"
    credentials.mkdir()
    (credentials / "aws_secret_access_key").write_text(SECRET)
    return load(directory / "config.toml", {"CREDENTIALS_DIRECTORY": str(credentials)})


def drain_seconds() -> float:
    """The daemon's own number. It lies where the run ends, whichever file that is."""
    sources = "\n".join(path.read_text() for path in sorted((ROOT / "daemon/artifactd").rglob("*.py")))
    (found,) = re.findall(r"^_DRAIN_SECONDS: Final = ([\d.]+)$", sources, flags=re.MULTILINE)
    return float(found)


# --- the image ---


def test_the_images_own_configuration_has_the_paths_of_its_mounts_and_exports_nothing() -> None:
    config = load(CONTAINER / "config.toml", {})
    assert not config.enabled
    assert config.warnings == ()
    assert (config.data_directory, config.state_directory) == (Path("/dai-data"), STATE)
    enabled = load(CONTAINER / "config.toml", {"DRIVERLESS_AI_ENABLE_ARTIFACTS_UPLOAD": "true"})
    (destination,) = enabled.destinations
    assert isinstance(destination, FileSystem)
    assert destination.directory == Path("/exports")


def test_the_image_starts_the_daemon_itself_as_nobody_special() -> None:
    instructions = dict(
        re.findall(r"^([A-Z]+) (.+)$", CONTAINERFILE.rpartition("\nFROM ")[2], flags=re.MULTILINE)
    )
    assert instructions["ENTRYPOINT"] == '["artifactd"]'
    assert instructions["CMD"] == '["run"]'
    assert instructions["HEALTHCHECK"].endswith('CMD ["artifactd", "status"]')
    assert instructions["USER"] == "10001:0"
    assert "RUN" not in instructions, "the last stage has no shell to run anything in"


def test_the_build_sees_what_the_wheel_is_made_of() -> None:
    lines = (CONTAINER / "Containerfile.dockerignore").read_text().splitlines()
    assert "*" in lines, "nothing is seen that is not named"
    seen = {line[1:] for line in lines if line.startswith("!")}
    project = tomli.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    made_of = {*wheel["packages"], *wheel.get("force-include", ())}
    described_by = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    assert {Path(name).parts[0] for name in made_of} | described_by | {
        "constraints.txt",
        "constraints-build.txt",
    } <= seen


def test_no_label_names_a_place_that_does_not_exist() -> None:
    labels = re.findall(r'org\.opencontainers\.image\.(\w+)="(.*)"', CONTAINERFILE)
    assert {name for name, _ in labels} == {"title", "description", "licenses", "version", "revision"}
    assert not [value for _, value in labels if "://" in value]


# --- compose ---


def test_compose_gives_artifactd_nothing_but_its_three_directories() -> None:
    artifactd = compose("compose.yaml")
    assert artifactd["volumes"] == [
        "./tmp:/dai-data:ro",
        "./exports:/exports",
        "./artifactd:/var/lib/artifactd",
    ]
    assert artifactd["read_only"] is True
    assert artifactd["cap_drop"] == ["ALL"]
    assert artifactd["security_opt"] == ["no-new-privileges:true"]
    assert artifactd["network_mode"] == "none"
    assert "privileged" not in artifactd
    assert "cap_add" not in artifactd


def test_compose_starts_driverless_ai_as_its_guide_does() -> None:
    services = yaml.safe_load((CONTAINER / "compose.yaml").read_text())["services"]
    theirs, ours = services["driverless-ai"], services["artifactd"]
    guide = {"./data:/data", "./log:/log", "./license:/license", "./tmp:/tmp"}
    assert guide <= set(theirs["volumes"])
    assert (theirs["pid"], theirs["shm_size"], theirs["cap_add"]) == ("host", "2g", ["SYS_NICE"])
    assert theirs["ulimits"] == {"nofile": 131071, "nproc": 16384}
    assert theirs["ports"] == ["12345:12345"]
    assert theirs["user"] == ours["user"]


def test_compose_waits_for_what_is_in_flight() -> None:
    seconds = re.fullmatch(r"(\d+)s", compose("compose.yaml")["stop_grace_period"])
    assert seconds is not None
    assert float(seconds[1]) >= drain_seconds() + 10


def test_the_variables_of_compose_are_keys_of_artifactd() -> None:
    config = load(CONTAINER / "config.toml", compose("compose.yaml")["environment"])
    assert config.enabled
    assert config.warnings == ()
    (destination,) = config.destinations
    assert isinstance(destination, FileSystem)


def test_compose_hands_secrets_over_as_files(tmp_path: Path) -> None:
    (tmp_path / "aws_secret_access_key").write_text(SECRET)
    service = compose("compose.yaml", "compose.s3.yaml")
    declared = yaml.safe_load((CONTAINER / "compose.s3.yaml").read_text())["secrets"]
    assert set(service["secrets"]) == declared.keys() <= SECRETS
    assert all(secret.keys() == {"file"} for secret in declared.values())
    environment: dict[str, str] = service["environment"]
    assert not [name for name in environment if name.removeprefix("DRIVERLESS_AI_").lower() in SECRETS]
    assert environment["CREDENTIALS_DIRECTORY"] == "/run/secrets"
    given = {name: re.sub(r"\$\{\w+:\?.*\}", "a-value", value) for name, value in environment.items()}
    config = load(CONTAINER / "config.toml", {**given, "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert config.warnings == ()
    (destination,) = config.destinations
    assert isinstance(destination, S3)
    assert SECRET in config.secrets()


# --- Kubernetes ---


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes_knows_every_field_of_the_manifests(path: Path, version: str) -> None:
    for document in documents(path):
        kubernetes_validate.validate(document, version, strict=True)


@each_pod
def test_the_pods_configuration_is_artifactds(pod: Pod, tmp_path: Path) -> None:
    config = configured(pod.config_map, tmp_path)
    assert config.enabled
    (destination,) = config.destinations
    assert isinstance(destination, S3)
    assert SECRET in config.secrets()
    assert {str(config.data_directory), str(config.state_directory)} <= pod.mounts.keys()
    (port,) = pod.artifactd["ports"]
    (listen,) = (row.value for row in config.effective() if row.key == "health.listen")
    assert listen == f'"0.0.0.0:{port["containerPort"]}"'
    assert [warning for warning in config.warnings if not warning.startswith("health.listen: ")] == []


@each_pod
def test_the_pods_mounts_are_volumes_and_only_the_state_can_be_written(pod: Pod) -> None:
    assert {mount["name"] for mount in pod.mounts.values()} <= pod.volumes
    read_only = {"/dai-data", "/etc/artifactd", "/run/secrets/artifactd"}
    writable = {str(STATE), "/tmp"}  # noqa: S108 - in the pod
    assert {where for where, mount in pod.mounts.items() if mount.get("readOnly")} == read_only
    assert {where for where, mount in pod.mounts.items() if not mount.get("readOnly")} == writable


@each_pod
def test_the_pods_secrets_are_files(pod: Pod) -> None:
    assert pod.artifactd["env"] == [{"name": "CREDENTIALS_DIRECTORY", "value": "/run/secrets/artifactd"}]
    (volume,) = (volume for volume in pod.spec["volumes"] if "secret" in volume)
    assert pod.mounts["/run/secrets/artifactd"]["name"] == volume["name"]
    assert volume["secret"]["defaultMode"] & 0o007 == 0
    assert [document for document in documents(pod.path) if document["kind"] == "Secret"] == []


@each_pod
def test_the_pod_is_confined_and_has_time_to_stop(pod: Pod) -> None:
    assert pod.artifactd["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod.spec["securityContext"]["runAsNonRoot"] is True
    assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod.spec["automountServiceAccountToken"] is False
    assert pod.spec["terminationGracePeriodSeconds"] >= drain_seconds() + 10


@each_pod
def test_the_pods_probes_ask_the_health_endpoint(pod: Pod) -> None:
    ready = "/readyz" if pod.path.stem == "standalone" else "/healthz"
    probes = ("startupProbe", "livenessProbe", "readinessProbe")
    assert {name: pod.artifactd[name]["httpGet"] for name in probes} == {
        "startupProbe": {"path": "/healthz", "port": "health"},
        "livenessProbe": {"path": "/healthz", "port": "health"},
        "readinessProbe": {"path": ready, "port": "health"},
    }


def test_the_sidecar_starts_before_driverless_ai_and_ends_after_it() -> None:
    (pod,) = (pod for pod in pods() if pod.path.stem == "driverless-ai")
    assert pod.spec["initContainers"] == [pod.artifactd]
    assert pod.artifactd["restartPolicy"] == "Always"
    (theirs,) = pod.spec["containers"]
    assert pod.mounts["/dai-data"]["name"] in {mount["name"] for mount in theirs["volumeMounts"]}


def test_beside_shared_storage_the_scan_is_quicker_than_by_default(tmp_path: Path) -> None:
    shared = configured("artifactd-standalone", tmp_path)
    assert shared.watch.rescan_seconds < load(CONTAINER / "config.toml", {}).watch.rescan_seconds
