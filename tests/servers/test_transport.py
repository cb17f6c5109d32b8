"""How servers are reached: keys, URLs with users and queries, proxies, certificates, names that nobody knows, file limits."""

from __future__ import annotations

import asyncio
import base64
import errno
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fake_server import FakeServer, serve
from hostile import Mode
from test_connect import closed
from test_pool import HASTY, say, with_pool

from cof_eval.core.errors import NoServerError, ServerError, UsageError, system_says
from cof_eval.core.secrets import safe_url, safe_urls
from cof_eval.servers import Pool, connect, parse_urls
from cof_eval.servers.faults import Fault, fault_of

PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def unmet(url: str, **options: str) -> str:
    """Why a server cannot be met."""

    async def meet() -> None:
        pool = await connect([url], **options)  # type: ignore[arg-type]
        await pool.close()

    with pytest.raises(NoServerError) as caught:
        asyncio.run(meet())
    return str(caught.value)


def at(server: FakeServer, user: str = "", query: str = "") -> FakeServer:
    """The same server by a URL with a user and a query."""
    host = server.url.removeprefix("http://")
    return FakeServer(f"http://{user}{host}{query}")


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("http://ann:pa%40ss@h:8000/v1?api-key=k&b=c#d", "http://h:8000/v1"),
            ("https://h/v1", "https://h/v1"),
            ("http://ann@[::1]:80/v1", "http://[::1]:80/v1"),
            ("http://ann:pass@[bad/v1?k=1", "http://[bad/v1"),
        ],
    )
    def test_a_url_is_shown_without_user_password_and_query(self, url: str, shown: str) -> None:
        assert safe_url(url) == shown
        assert safe_urls(f"base_url={url},x=1; {url}") == f"base_url={shown},x=1; {shown}"

    def test_a_url_that_cannot_be_used_is_said_without_its_secrets(self) -> None:
        with pytest.raises(UsageError) as caught:
            parse_urls("http://ann:hunter22@h:99999999/v1?api-key=hunter22")
        assert "hunter22" not in str(caught.value)

    def test_user_and_query_travel_and_are_never_told(self) -> None:
        async def use(pool: Pool) -> str:
            await say(pool)
            return f"{pool.servers[0].url} {pool.servers[0]!r} {pool.servers[0].transport!r}"

        with serve() as server:
            told = with_pool([at(server, "ann:s3cret-word@", "?api-key=of-this-place")], use)
            assert {headers["Authorization"] for headers in server.headers} == {
                f"Basic {base64.b64encode(b'ann:s3cret-word').decode()}"
            }
            assert {path.partition("?")[2] for path in server.paths} == {"api-key=of-this-place"}
        assert not [secret for secret in ("ann", "s3cret", "of-this-place") if secret in told]

    @pytest.mark.parametrize("echo", ["ann:s3cret-word", "s3cret-word", "YW5uOnMzY3JldC13b3Jk", "of-this-place"])
    def test_what_a_url_hides_is_masked_when_it_is_echoed(self, echo: str) -> None:
        mode = Mode(lambda wire: wire.reply(f"refused: {echo}".encode(), status="400 Bad Request"), "")
        with serve(mode=mode) as server, pytest.raises(ServerError) as caught:
            with_pool([at(server, "ann:s3cret-word@", "?api-key=of-this-place")], say, HASTY)
        assert "refused: ***" in str(caught.value)
        assert echo not in str(caught.value)

    def test_the_key_goes_as_a_bearer_token(self) -> None:
        with serve() as server:
            with_pool([server], say, api_key="sk-1234")
            assert {headers["Authorization"] for headers in server.headers} == {"Bearer sk-1234"}


class TestRedirects:
    def test_a_redirect_is_never_followed_and_its_host_is_named_without_its_query(self) -> None:
        with serve() as other:
            place = f"{other.url}/chat/completions?token=of-another"
            mode = Mode(lambda wire: wire.reply(b"", f"location: {place}", status="307 Temporary Redirect"), "")
            with serve(mode=mode) as server, pytest.raises(NoServerError) as caught:
                with_pool([server], say)
            assert not other.log
        assert other.url.split("/")[2] in str(caught.value)
        assert "of-another" not in str(caught.value)


class TestProxies:
    def test_a_proxy_that_swallows_loopback_is_named_with_the_cure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        page = Mode(lambda wire: wire.reply(b"<html><title>No such site</title></html>", status="502 Bad Gateway"), "")
        with serve() as server, serve(models_mode=page) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "http://ann:pr0xy-word@").removesuffix("/v1"))
            said = unmet(server.url)
            assert "No such site" in said
            assert f"through the proxy {proxy.url.removesuffix('/v1')}" in said
            assert "add 127.0.0.1 to NO_PROXY" in said
            assert "pr0xy-word" not in said
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            assert with_pool([server], say) == "forty-two"

    def test_a_dead_proxy_and_a_page_with_a_good_status_are_told_apart_from_the_server(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serve() as server:
            monkeypatch.setenv("http_proxy", closed().removesuffix("/v1"))
            assert "add 127.0.0.1 to NO_PROXY" in unmet(server.url)
            with serve(models_mode=Mode(lambda wire: wire.reply(b"<html>Log in</html>"), "")) as proxy:
                monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
                assert "add 127.0.0.1 to NO_PROXY" in unmet(server.url)

    def test_a_proxy_of_another_kind_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:9")
        assert "NO_PROXY" in unmet("http://127.0.0.1:9/v1")


class TestConnections:
    def test_a_host_that_nobody_knows_is_named(self) -> None:
        assert "the host name 'no-such-host.invalid' is not known" in unmet("http://no-such-host.invalid/v1")

    def test_tls_to_a_plain_port_is_said(self) -> None:
        with serve() as server:
            assert "a server without TLS has a URL with http://" in unmet(server.url.replace("http:", "https:"))

    def test_a_certificate_that_is_not_trusted_names_the_setting(self) -> None:
        error = ssl.SSLCertVerificationError(1, "certificate verify failed")
        error.verify_message = "self-signed certificate"
        fault = fault_of(_certificate_error(error), "h")
        assert fault.fault is Fault.NO_CONNECTION
        assert "self-signed certificate" in str(fault)
        assert "SSL_CERT_FILE" in str(fault)

    def test_too_many_open_files_names_the_limit_not_the_server(self) -> None:
        async def use(pool: Pool) -> tuple[BaseException, bool]:
            with no_more_files():
                (error,) = await asyncio.gather(say(pool), return_exceptions=True)
            return error, pool.servers[0].is_up()  # type: ignore[return-value]

        with serve(keep_alive=False) as server:
            error, up = with_pool([server], use, HASTY)
        assert "ulimit -n" in str(error)
        assert "space" not in str(error)
        assert up


def test_a_file_of_our_own_that_cannot_be_opened_is_no_full_disk() -> None:
    said = system_says(OSError(errno.EMFILE, "Too many open files"), "free space")
    assert "ulimit -n" in said
    assert "space" not in said
    assert system_says(OSError(errno.ENOSPC, "No space left on device"), "free space") == "No space left on device; free space"


def _certificate_error(error: ssl.SSLCertVerificationError) -> Exception:
    import aiohttp
    from aiohttp.client_reqrep import ConnectionKey

    key = ConnectionKey("h", 443, True, True, None, None, None)
    return aiohttp.ClientConnectorCertificateError(key, error)


@contextmanager
def no_more_files() -> Iterator[None]:
    """No file can be opened by this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = socket.socket()
    lowest = probe.fileno()
    probe.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
