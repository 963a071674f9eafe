"""Notifications against a real HTTPS service: what arrives, what is refused, and that no address is ever told."""

import json
import logging
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from agent.errors import ConfigError
from agent.redaction import redact
from eval.commands import commands
from eval.compare.notifications import configured_urls, open_targets, send
from eval.labeled_set import LabeledSet
from tests.eval.logged_runs import LoggedRuns

PATH = "/hook/" + "s3cr3t" * 3


class Hook(BaseHTTPRequestHandler):
    """Keeps what it is sent; answers with the status that the test wants."""

    server: "HookServer"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, json.loads(body)))
        self.send_response(self.server.status)
        self.send_header("Location", f"https://127.0.0.1:{self.server.server_port}/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.server.received.append((self.path, None))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


class HookServer(ThreadingHTTPServer):
    """A webhook over HTTPS on loopback."""

    received: list[tuple[str, Any]]
    status = 200

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_port}{PATH}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and self-signed certificate of 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "hook.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + signed.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def hook(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HookServer]:
    """A service whose certificate is trusted."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    server = HookServer(("127.0.0.1", 0), Hook)
    server.received = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_gets_the_message_with_its_own_query(hook: HookServer) -> None:
    assert list(send(open_targets([f"{hook.url}?sig=a%2Fb&empty="]), "title", "<b>*text*</b>")) == []
    [(path, body)] = hook.received
    assert path == f"{PATH}?sig=a%2Fb&empty="
    assert (body["title"], body["message"], body["type"]) == ("title", "<b>*text*</b>", "failure")


@pytest.mark.parametrize("query", ["", "?redirect=yes"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed_even_if_the_address_asks_for_it(hook: HookServer, status: int, query: str) -> None:
    hook.status = status
    warnings = list(send(open_targets([hook.url.replace("https", "jsons") + query]), "t", "b"))
    assert warnings == ["The notification to JSON could not be sent."]
    assert [path.partition("?")[0] for path, _ in hook.received] == [PATH]


def test_a_certificate_that_nobody_vouches_for_is_not_spoken_to(
    hook: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert len(list(send(open_targets([hook.url]), "t", "b"))) == 1
    assert hook.received == []


def test_a_service_that_is_down_is_a_warning_and_the_others_are_told(
    hook: HookServer, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="apprise")
    dead = "https://127.0.0.1:9/" + "t0p" * 5
    assert len(list(send(open_targets([dead, hook.url]), "t", "b"))) == 1
    assert len(hook.received) == 1
    told = capfd.readouterr()
    assert "t0p" not in told.out + told.err + caplog.text
    assert "s3cr3t" not in told.out + told.err + caplog.text


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://hooks.example.com/s3cr3t", "not encrypted"),
        ("http://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "not encrypted"),
        ("json://user:s3cr3t@example.com/x", "not encrypted.*jsons"),
        ("form://example.com/s3cr3t", "not encrypted"),
        ("xml://example.com/s3cr3t", "not encrypted"),
        ("mailto://user:s3cr3t@gmail.com", "not encrypted.*mailtos"),
        ("gotify://example.com/s3cr3ts3cr3t", "not encrypted.*gotifys"),
        ("https://[::1/s3cr3t", "not understood"),
        ("s3cr3t", "not understood"),
        ("", "not understood"),
        ("slack://s3cr3t", "not understood"),
    ],
)
def test_what_is_not_encrypted_or_not_understood_is_refused_unquoted(
    url: str, problem: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match=f"address 2.*{problem}") as raised:
        open_targets(["jsons://example.com/fine", url])
    told = capfd.readouterr()
    for secret in ("s3cr3t", "TIiajkdnlazkcOXrIdevi7FQ"):
        assert secret not in str(raised.value) + told.out + told.err + caplog.text


def test_addresses_come_from_the_environment_and_are_redacted_each(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured_urls() == []
    urls = ["https://one.example.com/abcdefgh", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"]
    monkeypatch.setenv("NEWS_CLASSIFIER_NOTIFY_URLS", "  ".join(urls))
    assert configured_urls() == urls
    for url in urls:
        assert url not in redact(f"posting to {url} failed")
    monkeypatch.setenv("NEWS_CLASSIFIER_NOTIFY_URLS", "https://a\nhttps://b")
    with pytest.raises(ConfigError, match="NEWS_CLASSIFIER_NOTIFY_URLS is wrong"):
        configured_urls()


def test_only_a_regression_is_told_and_a_failure_to_tell_changes_nothing(
    hook: HookServer, runs: LoggedRuns, news: LabeledSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = LabeledSet(news.path, news.rows[:20], "few")
    good, bad = runs.log(few, right=20, agent="a\x1bgent"), runs.log(few, right=5, agent="a\x1bgent")
    monkeypatch.setenv("NEWS_CLASSIFIER_NOTIFY_URLS", hook.url)

    def compare(*arguments: str) -> Result:
        return CliRunner().invoke(commands, ["compare", *arguments, "--fail-on", "category_accuracy<-0.01"])

    assert compare(bad, good).exit_code == 0
    assert hook.received == []
    told = compare(good, bad, "--notify", f"{hook.url}/second")
    assert told.exit_code == 1
    assert [path for path, _ in hook.received] == [f"{PATH}/second", PATH]
    message = hook.received[0][1]["message"]
    assert "category_accuracy<-0.01" in message
    assert bad in message
    assert "\x1b" not in message
    assert "s3cr3t" not in told.output
    hook.status = 500
    untold = compare(good, bad, "--json")
    assert untold.exit_code == 1
    assert "Warning: The notification to JSON could not be sent" in untold.stderr
    assert "s3cr3t" not in untold.output
    json.loads(untold.stdout)
