"""The hub's real client against a server of its protocol on this machine."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from tests.tiny_checkpoint import write_tiny_checkpoint
from xclip_stream.errors import CheckpointError
from xclip_stream.model import Scorer, XCLIPModel, XCLIPProcessor, XCLIPVisionModel, clip_geometry, locate
from xclip_stream.model.locate import is_at_hand

ID = "somebody/xclip-tiny"
FIRST, SECOND = "1" * 40, "2" * 40
TOKEN = "hf_" + "s3cret" * 5


@dataclass
class Hub:
    """Repositories by commit; `main` is the commit that the branch points to now."""

    url: str = ""
    main: str = FIRST
    commits: dict[str, Path] = field(default_factory=dict)
    failure: tuple[int, str] | None = None
    requests: list[str] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append(request.path)
        owner, name, verb, revision, *rest = [*request.path.strip("/").split("/"), "", "", ""]
        file = "/".join(rest).rstrip("/")
        commit = self.main if revision == "main" else revision
        if self.failure is not None:
            self._refuse(request, *self.failure)
        elif (f"{owner}/{name}", verb) != (ID, "resolve"):
            self._refuse(request, HTTPStatus.NOT_FOUND, "RepoNotFound")
        elif commit not in self.commits:
            self._refuse(request, HTTPStatus.NOT_FOUND, "RevisionNotFound")
        elif not (self.commits[commit] / file).is_file():
            self._refuse(request, HTTPStatus.NOT_FOUND, "EntryNotFound", commit)
        else:
            self._send(request, commit, (self.commits[commit] / file).read_bytes())

    def _refuse(self, request: BaseHTTPRequestHandler, status: int, code: str, commit: str = FIRST) -> None:
        request.send_response(status)
        request.send_header("X-Error-Code", code)
        request.send_header("X-Repo-Commit", commit)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _send(self, request: BaseHTTPRequestHandler, commit: str, content: bytes) -> None:
        request.send_response(HTTPStatus.OK)
        request.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        request.send_header("X-Repo-Commit", commit)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(content)


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        FIRST: write_tiny_checkpoint(tmp_path_factory.mktemp("first"), seed=1),
        SECOND: write_tiny_checkpoint(tmp_path_factory.mktemp("second"), seed=2, num_frames=2),
    }


@pytest.fixture
def hub(repositories: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    served = Hub(commits=dict(repositories))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        do_HEAD = do_GET  # noqa: N815  # a name of http.server

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as http.server has it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    template = f"{served.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", served.url)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return XCLIPModel.from_pretrained(folder).state_dict()


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_model_a_tower_and_a_processor_are_read_by_their_hub_id(hub, repositories):
    expected = weights_of(repositories[FIRST])

    model, tower = XCLIPModel.from_pretrained(ID), XCLIPVisionModel.from_pretrained(ID)

    assert equal(model.state_dict(), expected)
    assert equal(tower.state_dict(), model.vision_model.state_dict())
    assert XCLIPProcessor.from_pretrained(ID).rules.image_px == 32
    assert clip_geometry(ID).num_frames == 4


def test_a_scorer_is_named_by_its_id_and_fetches_only_what_it_needs(hub, repositories):
    (repositories[FIRST] / "pytorch_model.bin").write_bytes(b"never fetched")

    scorer = Scorer.from_checkpoint(ID, device="cpu")

    (repositories[FIRST] / "pytorch_model.bin").unlink()
    assert scorer.name == ID
    content = (repositories[FIRST] / "model.safetensors").read_bytes()
    assert scorer.sha256 == hashlib.sha256(content).hexdigest()
    assert not any("pytorch_model" in path for path in hub.requests)


def test_a_revision_is_pinned_and_needs_no_network_once_it_is_cached(hub, repositories, monkeypatch):
    assert clip_geometry(ID, SECOND).num_frames == 2
    XCLIPModel.from_pretrained(ID, revision=SECOND)
    asked = len(hub.requests)
    hub.failure = (HTTPStatus.SERVICE_UNAVAILABLE, "")

    model = XCLIPModel.from_pretrained(ID, revision=SECOND)

    assert len(hub.requests) == asked
    assert equal(model.state_dict(), weights_of(repositories[SECOND]))


def test_only_a_commit_in_the_cache_and_a_folder_are_at_hand(hub, repositories):
    before = is_at_hand(ID, revision=SECOND)
    clip_geometry(ID, SECOND)
    asked = len(hub.requests)

    assert not before
    assert is_at_hand(ID, revision=SECOND)
    assert not is_at_hand(ID, revision=FIRST)
    assert not is_at_hand(ID)
    assert not is_at_hand(ID, revision="main")
    assert is_at_hand(repositories[FIRST])
    assert is_at_hand("demo")
    assert not is_at_hand("no such folder")
    assert len(hub.requests) == asked


def test_a_known_checkpoint_is_taken_at_its_pinned_commit_unless_another_is_asked_for(hub, monkeypatch):
    monkeypatch.setitem(locate.PINNED, ID, SECOND)

    assert clip_geometry(ID).num_frames == 2
    assert clip_geometry(ID, FIRST).num_frames == 4


def test_a_branch_that_moves_meanwhile_does_not_mix_two_versions(hub, repositories, monkeypatch):
    asked_for_config = hub.answer

    def move_after_the_configuration(request: BaseHTTPRequestHandler) -> None:
        asked_for_config(request)
        if request.command == "GET" and request.path.endswith("config.json"):
            hub.main = SECOND

    monkeypatch.setattr(hub, "answer", move_after_the_configuration)

    model = XCLIPModel.from_pretrained(ID)

    assert hub.main == SECOND
    assert equal(model.state_dict(), weights_of(repositories[FIRST]))


def test_without_a_network_the_cache_is_used(hub, repositories, monkeypatch):
    Scorer.from_checkpoint(ID, device="cpu")
    go_offline(monkeypatch)

    scorer = Scorer.from_checkpoint(ID, device="cpu")

    assert equal(scorer.model.state_dict(), weights_of(repositories[FIRST]))


def test_without_a_network_a_pickle_in_the_cache_is_found_where_there_are_no_safetensors(
    hub, repositories, tmp_path, monkeypatch
):
    folder = write_tiny_checkpoint(tmp_path / "pickled", seed=3)
    expected = weights_of(folder)
    torch.save(expected, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    hub.commits[FIRST] = folder
    assert equal(XCLIPModel.from_pretrained(ID).state_dict(), expected)
    go_offline(monkeypatch)

    assert equal(XCLIPModel.from_pretrained(ID).state_dict(), expected)


def test_a_file_that_is_not_in_the_cache_is_an_error_that_says_what_to_do(hub, monkeypatch):
    go_offline(monkeypatch)

    with pytest.raises(CheckpointError, match=r"the hub cannot be reached and config\.json is not in the cache"):
        clip_geometry(ID)
    with pytest.raises(CheckpointError, match="or give a local folder"):
        XCLIPModel.from_pretrained(ID)


def test_a_hub_that_refuses_connections_is_one_line_and_nothing_else(hub, monkeypatch, capfd):
    refusing = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", refusing)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # its client waits longer after each of five tries

    with pytest.raises(CheckpointError, match=r"the hub cannot be reached and config\.json is not in the cache"):
        clip_geometry(ID)
    assert capfd.readouterr() == ("", "")


def test_weights_that_are_not_in_the_cache_are_an_error_too(hub, monkeypatch):
    clip_geometry(ID)
    go_offline(monkeypatch)

    with pytest.raises(CheckpointError, match="the hub cannot be reached and"):
        XCLIPModel.from_pretrained(ID)


@pytest.mark.parametrize(
    ("checkpoint", "revision", "message"),
    [
        ("somebody/else", None, "no such repository on the hub; if it is private, set HF_TOKEN"),
        (ID, "3" * 40, "has no revision '3333333333333333333333333333333333333333' on the hub"),
        (ID, "no-such-branch", "has no revision 'no-such-branch' on the hub"),
        ("some..body/else", None, "cannot be fetched from the hub"),
    ],
)
def test_what_the_hub_does_not_have_is_named(hub, checkpoint, revision, message):
    with pytest.raises(CheckpointError) as caught:
        XCLIPModel.from_pretrained(checkpoint, revision=revision)

    assert message in str(caught.value)
    assert checkpoint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (HTTPStatus.FORBIDDEN, "GatedRepo", "needs its owner's consent"),
        (HTTPStatus.UNAUTHORIZED, "", "the hub answers 401 for config.json; check the token in HF_TOKEN"),
        (HTTPStatus.BAD_REQUEST, "", "the hub cannot be reached and config.json is not in the cache"),
    ],
)
def test_what_the_hub_refuses_is_one_line_without_the_token(hub, capfd, status, code, message):
    hub.failure = (status, code)

    with pytest.raises(CheckpointError) as caught:
        clip_geometry(ID)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    printed = "".join(capfd.readouterr())
    assert TOKEN not in str(caught.value) + printed


def test_a_repository_without_a_configuration_is_no_checkpoint(hub, tmp_path):
    hub.commits[FIRST] = tmp_path

    with pytest.raises(CheckpointError, match=r"is not a model checkpoint, its repository has no config\.json"):
        XCLIPModel.from_pretrained(ID)


def test_a_local_folder_comes_before_a_repository_of_the_same_name(hub, repositories, tmp_path, monkeypatch):
    write_tiny_checkpoint(tmp_path / ID, num_frames=8)
    monkeypatch.chdir(tmp_path)

    assert clip_geometry(ID).num_frames == 8
    assert hub.requests == []
