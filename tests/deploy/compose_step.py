"""Stands in for docker-compose in the script that tests/deploy/__main__.py runs, in the folder of that script.

`up` builds the images first, `ps` looks at the system until it is well, `down` takes the volumes too.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = Path(sys.executable).with_name("docker-compose")
HERE = Path.cwd()
PODMAN = ["podman", "--root", f"{HERE}/pod/root", "--runroot", f"{HERE}/pod/run"]
BASE, SERVICES = "localhost/debbase:12", "localhost/services:12"
SERVICE_PACKAGES = (
    "redis-server prometheus python3-gi gir1.2-gst-rtsp-server-1.0 "
    "gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
)
"""What the images of Redis, Prometheus and the base of the camera bring with them elsewhere."""
OWNERS = {"data": "999:1000", "prometheus": "65534:65534"}
WITHIN_S = 600.0


def main() -> int:
    # The script calls: -f FILE up -d --pull never; -f FILE ps; -f FILE logs --tail 3; -f FILE down -t 1
    file, command, *rest = sys.argv[2:]
    compose = [str(COMPOSE), "-f", file]
    services = [name for name in output(*compose, "config", "--services").split() if name != "grafana"]
    match command:
        case "up":
            if os.environ["BUILT"] != "1":
                build_images()
            return run(*compose, "up", *rest, "--no-build", *services)
        case "ps":
            look(compose, services)
        case "down":
            rest += ["--volumes", "--remove-orphans"]
    return run(*compose, command, *rest)


def build_images() -> None:
    if subprocess.run([*PODMAN, "image", "exists", SERVICES], check=False).returncode:
        make_services()
    for target in ("cpu", "camera"):
        name = {"cpu": "xclip-stream"}.get(target, f"xclip-stream-{target}")
        told("build", f"localhost/{name}:latest")
        command = [*PODMAN, "build", "--quiet", "--file", f"{ROOT}/deploy/Dockerfile", "--target", target]
        command += ["--ignorefile", f"{ROOT}/deploy/Dockerfile.dockerignore", "--tag", f"localhost/{name}:latest"]
        command += ["--build-context", f"wheels={HERE}/wheels"]
        command += ["--build-arg", f"BASE={BASE}", "--build-arg", f"CAMERA_BASE={SERVICES}"]
        command += ["--build-arg", "PIP_OPTIONS=--no-index --find-links /wheels", str(ROOT)]
        subprocess.run(["nice", "-n", "15", *command], check=True)


def make_services() -> None:
    """Make the image of what is no part of the project, out of the packages of the base's own distribution."""
    told("services", SERVICE_PACKAGES)
    tree = HERE / "services-rootfs"
    if not tree.exists():
        subprocess.run(["cp", "-a", HERE / "deb-rootfs", tree], check=True)
    install = f"apt-get update -qq && apt-get install -y -qq --no-install-recommends {SERVICE_PACKAGES}"
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["chroot", tree, "sh", "-c", install], check=True, env=environ, stdout=subprocess.DEVNULL)
    for folder, owner in OWNERS.items():
        (tree / folder).mkdir(exist_ok=True)
        subprocess.run(["chown", owner, tree / folder], check=True)
    subprocess.run(f"tar -C {tree} -c . | {' '.join(PODMAN)} import -q - services:12", shell=True, check=True)  # noqa: S602 - fixed words
    subprocess.run(["rm", "-rf", tree], check=True)


def look(compose: list[str], services: list[str]) -> None:
    """Wait until every service is healthy and events have come, and look at what a container may do."""
    until("healthy", lambda: healths(compose, services) == {"healthy"}, lambda: str(healths(compose, services)))
    until("an event has ended", lambda: "xclip.event.ended" in output(*compose, "logs", "deliver"))
    scraped = ["exec", "-T", "prometheus", "promtool", "query", "instant", "http://127.0.0.1:9090"]
    asked = ["exec", "-T", "web", "python", "-m", "xclip_stream.web.ask_health", "127.0.0.1:8090/api/events"]
    until("the dashboard's API shows them", lambda: '"ended"' in output(*compose, *asked))
    kept = [*compose, "exec", "-T", "web", "sh", "-c", "ls /data/evidence/scene/*/*.jpg"]
    until("a picture of it is kept", lambda: subprocess.run(kept, capture_output=True, check=False).returncode == 0)
    ours = [name for name in services if name not in {"redis", "prometheus", "camera"}]
    until("all are scraped", lambda: f"=> {len(ours)} " in output(*compose, *scraped, 'sum(up{job="xclip-stream"})'))
    for name in services:
        if name in ours:
            assert output(*compose, "exec", "-T", name, "id", "-u").strip() == "10001", name
        done = subprocess.run([*compose, "exec", "-T", name, "touch", "/etc/x"], capture_output=True, check=False)
        assert b"Read-only file system" in done.stderr, (name, done.stderr)
    told("contained", "nobody is root, nothing is written outside of volumes and /tmp")
    program = (ROOT / "tests" / "deploy" / "fast_ways.py").read_bytes()
    subprocess.run([*compose, "exec", "-T", "score-cpu", "python", "-"], input=program, check=True)
    status = ["xclip-stream", "status", "--json", "--config", "/etc/xclip-stream/demo.yaml"]
    found = json.loads(output(*compose, "exec", "-T", "alert", *status))
    assert found["ok"], found["attention"]
    told("status", f"all is well; {found['sources'][0]['events']} events of {found['sources'][0]['windows']} windows")


def healths(compose: list[str], services: list[str]) -> set[str]:
    lines = output(*compose, "ps", "--all", "--format", "json").splitlines()
    found = {entry["Service"]: entry["Health"] for entry in map(json.loads, lines)}
    return {found.get(name, "missing") for name in services}


def until(what: str, is_so: Callable[[], bool], otherwise: Callable[[], str] = str) -> None:
    give_up_at = time.monotonic() + WITHIN_S
    began = time.monotonic()
    while not is_so():
        if time.monotonic() > give_up_at:
            sys.exit(f"not within {WITHIN_S:.0f} s: {what} {otherwise()}")
        time.sleep(2)
    told(what, f"after {time.monotonic() - began:.0f} s")


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def run(*command: str) -> int:
    return subprocess.run(command, check=False).returncode


def told(what: str, more: str) -> None:
    sys.stdout.write(f"== {what}: {more}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
