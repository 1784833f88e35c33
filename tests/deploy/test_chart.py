"""The Helm chart: what Helm and Kubernetes' own schemas say of it, and what it means for the system."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import missing_part
from tests.deploy.chart import CHART, EVERYTHING, SITE, need_helm, of_kind, pods_of, render
from tests.deploy.commands import complaint_of
from xclip_stream.config import Config, expand, read_config
from xclip_stream.config.watch import FIXED_SECTIONS
from xclip_stream.queues.redis_connection import RedisKeys
from xclip_stream.redis_url import RedisUrl

VALIDATE = Path(sys.executable).with_name("kubernetes-validate")
ROLES = ("ingest", "score", "alert", "deliver")
OTHERS_KINDS = {"ScaledObject", "TriggerAuthentication", "PodMonitor"}
"""Of operators; Kubernetes itself has no schema for them."""


def containers(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name.removeprefix("site-xclip-stream-"): pod["containers"][0] for name, pod in pods_of(objects)}


@pytest.mark.parametrize("values", [{}, {"config": SITE, **EVERYTHING}])
def test_helm_finds_nothing_to_complain_of(values: dict[str, Any]) -> None:
    found = need_helm().lint(str(CHART), values, strict=True)

    assert found["errors"] == []
    assert [said["error"] for said in found["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize(
    "values",
    [{}, EVERYTHING, {"redis": {"bundled": {"enabled": False}, "external": {"url": "redis://r:6379"}}}],
)
def test_kubernetes_would_take_every_object(values: dict[str, Any], tmp_path: Path) -> None:
    if not VALIDATE.exists():
        missing_part("kubernetes-validate", "pip install kubernetes-validate")
    objects = [found for found in render(values) if found["kind"] not in OTHERS_KINDS]
    (tmp_path / "rendered.yaml").write_text(yaml.safe_dump_all(objects))

    done = subprocess.run(
        [VALIDATE, "--strict", tmp_path / "rendered.yaml"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("INFO") == len(objects)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"config": ""}, "config is needed, with sources"),
        ({"config": "a: [1"}, "config is not YAML"),
        ({"config": "redis: {url: redis://x}\nsources: [1]"}, "leave out redis.url"),
        ({"redis": {"bundled": {"enabled": False}}}, "redis.external.url is needed"),
        (
            {
                "autoscaling": {"enabled": True},
                "redis": {"bundled": {"enabled": False}, "external": {"url": "redis://${env:USER}:x@redis"}},
            },
            "KEDA takes username as it stands",
        ),
        ({"workers": {"scorer": {}}}, "scorer"),
        ({"autoscaling": {"minReplicas": 0}}, "minReplicas"),
    ],
)
def test_a_mistake_in_the_values_is_told_at_once(values: dict[str, Any], said: str) -> None:
    with pytest.raises(need_helm().HelmError, match=said):
        render(values)


def test_every_container_is_nobody_and_writes_only_where_it_should() -> None:
    pods = dict(pods_of(render(EVERYTHING)))

    assert len(pods) == len(ROLES) + len({"redis", "exporter", "web"})
    for pod in pods.values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert "privileged" not in security
            assert container["resources"]["limits"]["memory"]


def test_a_worker_is_not_the_first_process_and_hears_of_a_stop_while_it_starts() -> None:
    pods = dict(pods_of(render(EVERYTHING)))

    assert {name for name, pod in pods.items() if not pod.get("shareProcessNamespace")} == {"site-xclip-stream-redis"}


def test_the_account_of_the_pods_has_no_token() -> None:
    objects = render()
    (account,) = of_kind(objects, "ServiceAccount").values()

    assert account["automountServiceAccountToken"] is False
    assert all(pod["serviceAccountName"] == account["metadata"]["name"] for _, pod in pods_of(objects))


@pytest.mark.parametrize("role", [*ROLES, "web", "exporter"])
def test_each_worker_is_asked_for_its_health_where_it_serves_it(role: str) -> None:
    worker = containers(render(EVERYTHING))[role]
    ports = {port["name"]: port["containerPort"] for port in worker["ports"]}
    said = {entry["name"]: entry["value"] for entry in worker["env"]}["XCLIP_STREAM_HEALTH"]
    served = worker["command"][-1] if role == "exporter" else said

    assert served == f"0.0.0.0:{ports['health']}"
    assert worker["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert worker["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    assert worker["startupProbe"]["httpGet"]["port"] == "health"


def test_the_dashboard_is_reached_at_its_service_by_those_who_may() -> None:
    objects = render(EVERYTHING)
    (service,) = (found for name, found in of_kind(objects, "Service").items() if name.endswith("-web"))
    web = containers(objects)["web"]
    ports = {port["name"]: port["containerPort"] for port in web["ports"]}
    (rule,) = of_kind(objects, "NetworkPolicy")["site-xclip-stream-web"]["spec"]["ingress"]

    assert {entry["name"]: entry["value"] for entry in web["env"]}["XCLIP_STREAM_LISTEN"] == f"0.0.0.0:{ports['web']}"
    assert service["spec"]["ports"][0]["targetPort"] == rule["ports"][0]["port"] == "web"
    assert service["spec"]["selector"]["app.kubernetes.io/component"] == "web"
    assert "site-xclip-stream-web" not in of_kind(render(), "Deployment")


def test_a_scorer_has_half_an_hour_to_fetch_its_model() -> None:
    probe = containers(render())["score"]["startupProbe"]

    assert probe["httpGet"]["path"] == "/readyz"
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 1800


@pytest.mark.parametrize("role", [*ROLES, "web", "exporter"])
def test_each_worker_is_a_command_that_the_program_knows(role: str) -> None:
    worker = containers(render(EVERYTHING))[role]

    said = complaint_of([*worker["command"], *worker["args"]])

    assert said.startswith("error: /etc/xclip-stream/site.yaml: cannot be read")


@pytest.mark.parametrize("namespace", ["main", "north"])
def test_score_is_scaled_on_the_streams_of_its_namespace(namespace: str) -> None:
    objects = render(EVERYTHING, config=SITE.replace("north", namespace))
    (scaled,) = of_kind(objects, "ScaledObject").values()
    keys = RedisKeys(namespace)
    asked = [trigger["metadata"] for trigger in scaled["spec"]["triggers"]]

    assert [metadata["stream"] for metadata in asked] == [keys.live_windows, keys.file_windows]
    assert all(metadata["streamLength"] == "4" and "consumerGroup" not in metadata for metadata in asked)
    assert scaled["spec"]["scaleTargetRef"]["name"] in of_kind(objects, "Deployment")
    # KEDA is in a namespace of its own, where the name of the service alone leads nowhere.
    hosts = {metadata["address"].removesuffix(":6379") for metadata in asked}
    assert {host.removesuffix(".video.svc") for host in hosts} <= set(of_kind(objects, "Service"))
    assert all(host.endswith(".video.svc") for host in hosts)


def test_a_site_without_a_namespace_of_its_own_is_scaled_on_main() -> None:
    objects = render(EVERYTHING, config="sources: [{id: a, url: rtsp://a}]")
    (scaled,) = of_kind(objects, "ScaledObject").values()

    assert scaled["spec"]["triggers"][0]["metadata"]["stream"] == RedisKeys("main").live_windows


REFERENCE = "${file:/run/secrets/redis_password}"


@pytest.mark.parametrize(
    ("url", "kind", "place"),
    [
        (
            f"rediss://ops:{REFERENCE}@redis.example/3",
            "redis-streams",
            {"address": "redis.example:6379", "databaseIndex": "3", "username": "ops", "enableTLS": "true"},
        ),
        (
            f"redis://:{REFERENCE}@10.0.0.5:6380?db=1&username=ops",
            "redis-streams",
            {"address": "10.0.0.5:6380", "databaseIndex": "1", "username": "ops", "enableTLS": "false"},
        ),
        (
            f"redis+sentinel://ops:{REFERENCE}@one.example:26380,two.example/mymaster/2?sentinel_username=watch",
            "redis-sentinel-streams",
            {
                "addresses": "one.example:26380,two.example:26379",
                "sentinelMaster": "mymaster",
                "sentinelUsername": "watch",
                "databaseIndex": "2",
                "username": "ops",
                "enableTLS": "false",
            },
        ),
        (
            "rediss+cluster://one.example:7000,[fd00::1]:7001,two.example",
            "redis-cluster-streams",
            {"addresses": "one.example:7000,[fd00::1]:7001,two.example:6379", "enableTLS": "true"},
        ),
    ],
)
def test_keda_asks_the_redis_that_the_workers_use(url: str, kind: str, place: dict[str, str]) -> None:
    redis = {"bundled": {"enabled": False}, "external": {"url": url}}
    (scaled,) = of_kind(render({"autoscaling": {"enabled": True}, "redis": redis}), "ScaledObject").values()
    meant = RedisUrl.parse(url.replace(REFERENCE, "secret"))
    hosts = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in meant.hosts]

    for trigger in scaled["spec"]["triggers"]:
        asked = {key: value for key, value in trigger["metadata"].items() if not key.startswith("stream")}
        assert (trigger["type"], asked) == (kind, place)
        assert asked.get("address", asked.get("addresses")) == ",".join(hosts)
        assert asked.get("sentinelMaster", "") == meant.service


@pytest.mark.parametrize(
    ("values", "secret"), [({}, "xclip-stream-redis"), ({"sentinelPasswordSecret": {"name": "watchers"}}, "watchers")]
)
def test_keda_gets_the_password_of_the_sentinels_where_they_want_one(values: dict[str, Any], secret: str) -> None:
    url = f"redis+sentinel://:{REFERENCE}@one/mymaster?sentinel_password=" + REFERENCE.replace("redis", "sentinel")
    redis = {"bundled": {"enabled": False}, "external": {"url": url, **values}}
    (login,) = of_kind(render({"autoscaling": {"enabled": True}, "redis": redis}), "TriggerAuthentication").values()

    assert login["spec"]["secretTargetRef"] == [
        {"parameter": "password", "name": "xclip-stream-redis", "key": "password"},
        {"parameter": "sentinelPassword", "name": secret, "key": "password"},
    ]


def test_what_is_scraped_bears_the_namespace_of_the_queue() -> None:
    (monitor,) = of_kind(render(EVERYTHING), "PodMonitor").values()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]

    assert endpoint["relabelings"] == [{"targetLabel": "xclip_namespace", "replacement": "north"}]


def test_keda_and_the_chart_do_not_both_set_the_number_of_scorers() -> None:
    fixed, scaled = (of_kind(render(values), "Deployment")["site-xclip-stream-score"] for values in ({}, EVERYTHING))

    assert fixed["spec"]["replicas"] == 1
    assert "replicas" not in scaled["spec"]


def test_only_scorers_get_gpus() -> None:
    found = containers(render(EVERYTHING))

    assert {role for role in ROLES if "nvidia.com/gpu" in found[role]["resources"]["limits"]} == {"score"}
    assert containers(render())["score"]["resources"]["limits"].get("nvidia.com/gpu") is None


def test_a_node_can_be_drained_of_one_pod_of_each_role_at_a_time() -> None:
    objects = render()
    budgets = of_kind(objects, "PodDisruptionBudget")

    assert set(budgets) == {f"site-xclip-stream-{role}" for role in ROLES}
    for name, budget in budgets.items():
        labels = of_kind(objects, "Deployment")[name]["spec"]["template"]["metadata"]["labels"]
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert budget["spec"]["maxUnavailable"] == 1


def test_only_workers_and_keda_reach_redis() -> None:
    policies = of_kind(render(EVERYTHING), "NetworkPolicy")
    (rule,) = policies["site-xclip-stream-redis"]["spec"]["ingress"]

    assert rule["ports"] == [{"port": 6379, "protocol": "TCP"}]
    assert rule["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "site"
    assert rule["from"][1]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "keda"}


def test_alert_reaches_nothing_but_names_and_redis() -> None:
    objects = render()
    labels = of_kind(objects, "Deployment")["site-xclip-stream-alert"]["spec"]["template"]["metadata"]["labels"]
    policies = [policy["spec"] for policy in of_kind(objects, "NetworkPolicy").values()]
    its_own = [policy for policy in policies if policy["podSelector"]["matchLabels"].items() <= labels.items()]

    ports = {port["port"] for policy in its_own for rule in policy["egress"] for port in rule["ports"]}
    assert ports == {53, 6379}
    assert all("Ingress" in policy["policyTypes"] and not policy.get("ingress") for policy in its_own)


def test_the_site_is_mounted_as_the_program_reads_it_and_the_secrets_are_where_it_says(tmp_path: Path) -> None:
    objects = render(EVERYTHING)
    (mounted,) = of_kind(objects, "ConfigMap").values()
    text = mounted["data"]["site.yaml"].replace("/run/secrets", str(tmp_path))
    (tmp_path / "yard").write_text("hunter22\n")
    pod = dict(pods_of(objects))["site-xclip-stream-ingest"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    names = [source["secret"]["name"] for source in volumes["secrets"]["projected"]["sources"]]

    config: Config = read_config(text, name="site.yaml", folder=tmp_path)
    assert config.redis.namespace == "north"
    assert names == ["xclip-stream-redis", "cameras"]
    assert {"name": "config", "mountPath": "/etc/xclip-stream", "readOnly": True} in pod["containers"][0][
        "volumeMounts"
    ]


@pytest.mark.parametrize(
    "config",
    [
        f"    # ours\n{SITE}",
        f"        \n{SITE}",
        SITE.replace("people", "\u2028"),
        SITE.replace("\n", "\r\n"),
        "{sources: [1]}",
    ],
)
def test_the_configuration_arrives_as_it_was_written(config: str) -> None:
    (mounted,) = of_kind(render(config=config), "ConfigMap").values()

    assert mounted["data"]["site.yaml"] == config


def test_a_name_that_yaml_would_take_for_something_else_stays_a_name() -> None:
    values = {
        "gpu": {"enabled": True, "runtimeClassName": "no"},
        "models": {"persistence": {"enabled": True, "storageClassName": "1"}},
        "redis": {"passwordSecret": {"name": "12", "key": "yes"}},
        "secrets": ["0x1f"],
    }
    objects = render(values, name="2024")
    pod = dict(pods_of(objects))["2024-xclip-stream-score"]
    (projected,) = (volume["projected"]["sources"] for volume in pod["volumes"] if volume["name"] == "secrets")

    assert {found["metadata"]["labels"]["app.kubernetes.io/instance"] for found in objects} == {"2024"}
    assert projected[0]["secret"] == {"name": "12", "items": [{"key": "yes", "path": "redis_password"}]}
    assert projected[1]["secret"] == {"name": "0x1f"}
    assert pod["runtimeClassName"] == "no"
    assert of_kind(objects, "PersistentVolumeClaim")["2024-xclip-stream-models"]["spec"]["storageClassName"] == "1"


@pytest.mark.parametrize(
    ("url", "ports"),
    [
        ("rediss://:${file:/run/secrets/redis_password}@redis.example/0", {53, 6379}),
        ("rediss://u:1:2@redis.example:6380/0?ssl_ca_certs=/run/secrets/ca:1", {53, 6379, 6380}),
        ("redis+sentinel://u:p@one:26379,two:26380,three/mymaster/0", {53, 6379, 26379, 26380}),
        ("redis+cluster://one:7000,[fd00::1]:7001", {53, 6379, 7000, 7001}),
    ],
)
def test_every_worker_reaches_each_port_of_a_redis_that_is_named(url: str, ports: set[int]) -> None:
    redis = {"bundled": {"enabled": False}, "external": {"url": url}}
    (policy,) = (
        policy["spec"]
        for policy in of_kind(render({"redis": redis}), "NetworkPolicy").values()
        if "app.kubernetes.io/component" not in policy["spec"]["podSelector"]["matchLabels"]
    )

    assert {port["port"] for rule in policy["egress"] for port in rule["ports"]} == ports


@pytest.mark.parametrize("role", ["alert", "web"])
def test_a_worker_may_be_let_out_to_more(role: str) -> None:
    more = [{"ports": [{"port": 4318, "protocol": "TCP"}]}]
    values = {**EVERYTHING, "networkPolicy": {**EVERYTHING["networkPolicy"], "egress": {role: more}}}
    policies = [found for found in render(values) if found["kind"] == "NetworkPolicy"]
    names = [policy["metadata"]["name"] for policy in policies]
    own = [policy["spec"] for policy in policies if policy["spec"].get("egress") == more]

    assert len(set(names)) == len(names)
    assert [spec["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for spec in own] == [role]


def test_the_password_of_redis_is_in_a_file_and_in_no_environment(tmp_path: Path) -> None:
    (tmp_path / "redis_password").write_text("hunter22")
    environ = {entry["name"]: entry["value"] for entry in containers(render())["score"]["env"]}
    url = environ["XCLIP_STREAM_REDIS_URL"]

    assert expand(url.replace("/run/secrets", str(tmp_path))) == "redis://:hunter22@site-xclip-stream-redis:6379/0"


def test_pods_start_again_for_what_is_read_at_the_start_alone() -> None:
    def mark(config: str) -> str:
        deployment = of_kind(render(config=config), "Deployment")["site-xclip-stream-score"]
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["checksum/start"])

    assert mark(SITE) == mark(SITE.replace("fight", "brawl"))
    for section in FIXED_SECTIONS:
        rest = "".join(line for line in SITE.splitlines(keepends=True) if not line.startswith(f"{section}:"))
        assert mark(SITE) != mark(f"{rest}{section}: {{changed: 1}}\n"), section


def test_the_bundled_redis_never_evicts_and_keeps_its_log() -> None:
    objects = render()
    (redis,) = of_kind(objects, "StatefulSet").values()
    (script,) = redis["spec"]["template"]["spec"]["containers"][0]["args"]

    assert "--maxmemory-policy noeviction" in script
    assert "--appendonly yes" in script
    assert redis["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] == "data"


def test_the_version_is_that_of_the_program() -> None:
    from xclip_stream import __version__

    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["appVersion"] == about["version"] == __version__
