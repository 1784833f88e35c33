from pathlib import Path

from xclip_stream.model.user_cache import user_cache


def test_the_cache_lies_where_caches_of_the_user_do(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert user_cache("openvino") == Path("/somewhere/xclip-stream/openvino")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert user_cache("openvino") == Path.home() / ".cache/xclip-stream/openvino"
