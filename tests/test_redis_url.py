from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xclip_stream.errors import ConfigError
from xclip_stream.redis_url import RedisUrl, Topology, read_redis_url, with_tls_files


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("redis://h", RedisUrl(hosts=(("h", 6379),))),
        ("REDISS://u:p%40ss@h:1/3", RedisUrl(tls=True, hosts=(("h", 1),), user="u", password="p@ss", db=3)),
        ("redis://:p@[::1]:7/0", RedisUrl(hosts=(("::1", 7),), password="p")),
        ("unix:///run/a%20b.sock?db=2", RedisUrl(socket_path="/run/a b.sock", db=2)),
        ("unix://:p@/run/r.sock", RedisUrl(socket_path="/run/r.sock", password="p")),
        (
            "redis+sentinel://u:p@a,b:1,[::1]:2/my%20main/4?sentinel_username=s&sentinel_password=q%26a",
            RedisUrl(
                topology=Topology.SENTINEL,
                hosts=(("a", 26379), ("b", 1), ("::1", 2)),
                user="u",
                password="p",
                service="my main",
                db=4,
                sentinel_user="s",
                sentinel_password="q&a",
            ),
        ),
        (
            "rediss+cluster://a:7000,b:7001?ssl_ca_certs=/ca.pem",
            RedisUrl(topology=Topology.CLUSTER, tls=True, hosts=(("a", 7000), ("b", 7001)), ca_file="/ca.pem"),
        ),
    ],
)
def test_a_url_says_where_the_redis_is(text: str, meant: RedisUrl) -> None:
    assert RedisUrl.parse(text) == meant


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("http://h", "must start with redis://"),
        ("localhost:6379", "must start with redis://"),
        ("redis+kafka://h", "must start with redis://"),
        ("redis://", "has no host"),
        ("redis://h:70000", "a port that is none"),
        ("redis://u:hunter2@queue..example.org", "host name that cannot be one"),
        (f"redis+cluster://a,{'b' * 64}", "host name that cannot be one"),
        ("redis://u:hunter2/x@h", "percent-encode"),
        ("redis://u:hunter2#x@h", "percent-encode"),
        ("redis://u:hunter2?x@h", "percent-encode"),
        ("redis://u:hunter2 @h", "percent-encode"),
        ("redis://h/first", "number of a database"),
        ("redis://a,b", "several hosts"),
        ("redis://h?hunter=2", "not known: hunter "),
        ("redis://h?hun@ter2", "percent-encode"),
        ("redis://h?sentinel_password=hunter2", "options for Sentinels"),
        ("redis://h?ssl_ca_certs=/ca.pem", "options for TLS"),
        ("rediss://h?ssl_keyfile=/key.pem", "without its certificate"),
        ("redis+sentinel://a,b", "must name the service"),
        ("redis+sentinel://a,,b/main", "has no host"),
        ("redis+cluster://a,b/1", "has only 0"),
        ("unix://run/redis.sock", "whole path"),
        ("unix://", "whole path"),
    ],
)
def test_what_is_no_url_of_a_redis_is_refused_in_one_line_without_the_password(text: str, trouble: str) -> None:
    with pytest.raises(ConfigError, match=trouble) as refused:
        read_redis_url(text)

    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_password_can_be_written(password: str, other: str) -> None:
    written = f"redis+sentinel://u:{quote(password, safe='')}@h/main?sentinel_password={quote(other, safe='')}"

    assert RedisUrl.parse(written).secrets == (password, other)
    assert password not in repr(RedisUrl.parse(written)) or len(password) < 10


def test_files_for_tls_are_added_to_a_url_that_has_none_of_its_own() -> None:
    def added(url: str) -> RedisUrl:
        files = {"ca_file": Path("/a b.pem"), "cert_file": Path("/c.pem"), "key_file": Path("/k.pem")}
        return RedisUrl.parse(with_tls_files(url, **files))

    bare, own, plain = added("rediss://h"), added("rediss://h/1?ssl_certfile=/mine.pem"), added("redis://h")

    assert (bare.ca_file, bare.cert_file, bare.key_file) == ("/a b.pem", "/c.pem", "/k.pem")
    assert (own.ca_file, own.cert_file, own.key_file) == ("/a b.pem", "/mine.pem", None)
    assert plain == RedisUrl(hosts=(("h", 6379),))
