"""Bring docker-compose.yml up for real, without a registry: `python -m tests.deploy [--in FOLDER] [--tool SCRIPT]`.

Needs root and some gigabytes of disk, and takes about half an hour the first time. The script that it leaves podman to
is no part of the project: where it is not there, this says so and ends. It makes a base image with debootstrap, serves
podman as Docker, and calls compose for `up`, `ps`, `logs` and `down`; tests/deploy/compose_step.py stands in for
compose there, builds the images before `up`, and looks at the system at `ps`.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from tests.ports import free_port

console = Console(highlight=False, soft_wrap=True)
ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT.parent / "shared" / "tools" / "compose_up.sh"
PACKAGES = "podman buildah runc conmon catatonit netavark aardvark-dns iptables debootstrap"  # what the script asks for
FOLDER = Path("/var/tmp/xclip-stream-deploy")
EXTRAS = "[openvino,amx,demo]"
"""What the images are built with: the first two are in all of them, `demo` renders the scene of the camera."""
LEFT_BEHIND = ("ps --all --quiet", "volume ls --quiet", "pod ps --quiet")


def main() -> int:
    options = parse()
    if not options.tool.exists():
        console.print(f"not brought up: {options.tool} is not there")
        return 0
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    install(PACKAGES.split())
    if not options.built:
        gather_wheels(folder / "wheels")
    subprocess.run(["sh", ROOT / "deploy" / "secrets.sh", folder / "secrets"], check=True)
    script = folder / "compose_up.sh"
    shutil.copyfile(options.tool, script)
    step = f"{sys.executable} -m tests.deploy.compose_step"
    environ = {
        **os.environ,
        "DOCKER_COMPOSE": step,
        "PYTHONPATH": str(ROOT),
        **settings(folder),
        "BUILT": str(int(options.built)),
    }
    done = subprocess.run(["bash", script, ROOT / "docker-compose.yml"], check=False, env=environ)
    if done.returncode:
        take_down(folder)
    elif left := left_behind(folder):
        console.print(f"left behind: {left}")
        return 1
    console.print("brought up, looked at and taken down" if done.returncode == 0 else "could not be brought up")
    return done.returncode


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in", dest="folder", type=Path, default=FOLDER, help="images and wheels stay there")
    parser.add_argument("--built", action="store_true", help="take the images as they are")
    parser.add_argument("--tool", type=Path, default=TOOL)
    return parser.parse_args()


def install(packages: list[str]) -> None:
    query = subprocess.run(["dpkg-query", "-W", *packages], capture_output=True, check=False)
    if query.returncode:
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=environ)
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]
        subprocess.run([*install, *packages], check=True, env=environ)


def gather_wheels(folder: Path) -> None:
    """Fetch what the images are built from: pip inside a build has no package index."""
    mark = folder / "constraints.txt"
    wanted = (ROOT / "constraints.txt").read_text() + (ROOT / "pyproject.toml").read_text() + EXTRAS
    if mark.exists() and mark.read_text() == wanted:
        return
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--constraint", ROOT / "constraints.txt"]
    # async-timeout is for Python before 3.11.3, which the base image may have.
    subprocess.run([*pip, "--wheel-dir", folder, f"{ROOT}{EXTRAS}", "setuptools>=77", "async-timeout"], check=True)
    for own in folder.glob("xclip_stream-*.whl"):
        own.unlink()
    mark.write_text(wanted)


def settings(folder: Path) -> dict[str, str]:
    """Return what docker-compose.yml is told by the environment. Grafana is in no package archive, so it stays out."""
    return {
        "COMPOSE_PROFILES": "demo,metrics",
        "XCLIP_STREAM_SECRETS_DIR": str(folder / "secrets"),
        "REDIS_IMAGE": "services:12",
        "PROMETHEUS_IMAGE": "services:12",
        "XCLIP_STREAM_WEB": f"127.0.0.1:{free_port()}",
        "PROMETHEUS_WEB": f"127.0.0.1:{free_port()}",
    }


def left_behind(folder: Path) -> str:
    """Return the ids of containers and volumes that are still there."""
    return " ".join(" ".join(podman(folder, command) for command in LEFT_BEHIND).split())


def take_down(folder: Path) -> None:
    """Remove what stands where the script has ended in the middle."""
    for command in ("rm --all --force --time 1", "volume prune --force", "network prune --force"):
        podman(folder, command)


def podman(folder: Path, command: str) -> str:
    words = ["podman", "--root", folder / "pod" / "root", "--runroot", folder / "pod" / "run", *command.split()]
    environ = {**os.environ, "CONTAINERS_CONF": str(folder / "containers.conf")}
    return subprocess.run(words, capture_output=True, text=True, check=True, env=environ).stdout


if __name__ == "__main__":
    sys.exit(main())
