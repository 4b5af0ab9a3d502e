"""The command line: stubs, faults, limits, TLS, admin, the check at the end."""

import ssl
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from mockserver import Latency, MockServer
from mockserver.certificates import own_authority
from mockserver.cli import _parser, _server, main
from mockserver.faults import ParetoLatency
from mockserver.option_values import latency
from tests.mockserver.test_cli import process
from tests.patience import HANGS

STUBS = """\
- when: {method: GET, path: "/greeting/{name}"}
  answer: {json: {hello: "{path.name}"}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "greetings.yaml").write_text(STUBS)
    return tmp_path


def made(*options: str) -> MockServer:
    return _server(_parser().parse_args(list(options)), [])


def test_a_folder_of_stubs_is_served(folder: Path) -> None:
    """Beside the resources."""
    with process(str(folder), "--log", "off") as (_, url):
        assert httpx.get(f"{url}/greeting/you").json() == {"hello": "you"}
        assert httpx.get(f"{url}/users/1").status_code == 200


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- when: {path: /x}\n  answer: {status: 2000}\n", "bad.yaml"),
        ("- when: {path: /x}\n  answr: {}\n", "bad.yaml, line 2"),
        ("- when: {path: /x\n", "bad.yaml"),
    ],
)
def test_a_mistake_in_a_stub_file_ends_the_start(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2 before anything listens, with file and line."""
    (tmp_path / "bad.yaml").write_text(text)
    assert main(["--port", "0", str(tmp_path)]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("mockserver: ")
    assert said in errors


def test_a_folder_that_is_not_there_ends_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    """The same."""
    assert main(["/no/such/folder"]) == 2
    assert "folder" in capsys.readouterr().err


def test_the_second_line_has_the_admin_api() -> None:
    """Its address and its token; the first line is as it always was."""
    with process("--log", "off") as (running, url):
        assert running.stdout is not None
        words = running.stdout.readline().split()
        assert words[:3] == ["mockserver", "admin", "on"]
        answer = httpx.get(f"{words[3]}/health", headers={"authorization": f"Bearer {words[5]}"})
        assert answer.json()["url"] == url


def test_the_token_can_go_to_a_file(tmp_path: Path) -> None:
    """Then standard output names the file only; the admin port can be chosen, too."""
    file = tmp_path / "token"
    with process("--log", "off", "--token-file", str(file)) as (running, _):
        assert running.stdout is not None
        line = running.stdout.readline()
        token = file.read_text().strip()
        assert line.endswith(f"token in {file}\n")
        assert token not in line
        url = line.split()[3]
        assert httpx.get(f"{url}/health", headers={"authorization": f"Bearer {token}"}).status_code == 200
        running.terminate()
        assert running.wait(HANGS) == 0
    assert not file.exists()


def test_the_admin_api_can_be_left_out() -> None:
    """With --admin-port off."""
    with pytest.raises(RuntimeError, match="no admin API"):
        _ = made("--admin-port", "off").admin


def test_check_tells_at_the_end_which_rules_were_broken() -> None:
    """Exit status 1 and the violations; 0 and a word where there are none."""
    for broken in (False, True):
        with process("--log", "off", "--admin-port", "off", "--check", "--rate-limit", "1/1h") as (running, url):
            httpx.get(f"{url}/users/1")
            for attempt in ("1", "2") if broken else ():
                httpx.get(f"{url}/users/1", headers={"x-call-id": "impatient", "x-attempt": attempt})
            running.terminate()
            output, errors = running.communicate(timeout=HANGS)
        assert (running.returncode, errors) == (int(broken), "")
        assert ("broken: retry_after" in output) is broken
        assert ("no rule of good behaviour was broken" in output) is not broken


def test_rules_and_scenarios_make_the_plan() -> None:
    """In the language of faults; the line that replays says the same again."""
    server = made(
        "--seed", "7", "--scenario", "brownout(duration=3s)", "--fault", "reset",
        "--fault", "rule(error(500), path='/a', probability=0.5)", "--caller-faults",
    )  # fmt: skip
    assert server.faults is not None
    line = server.faults.describe()
    assert line == (
        "seed=7 caller_faults=true scenario=brownout(duration=3.0) rule=rule(fault=reset) "
        'rule=rule(fault=error(500), path="/a", probability=0.5)'
    )
    again = made("--replay", line)
    assert again.faults is not None
    assert again.faults.plan == server.faults.plan
    assert again.stage.seed == 7


def test_nothing_is_asked_of_a_plan_without_faults() -> None:
    """Only what was said costs time."""
    assert made().faults is None
    assert made("--seed", "5").stage.seed == 5


def test_the_limit_speaks_a_dialect() -> None:
    """As a service does, or as it wrongly does."""
    with made("--port", "0", "--admin-port", "off", "--rate-limit", "1/1m", "--limit-kind", "fixed",
              "--limit-dialect", "github", "--limit-lies", "milliseconds") as server:  # fmt: skip
        answer = httpx.get(f"{server.url}/users/1")
        assert answer.headers["x-ratelimit-used"] == "1"
        assert int(answer.headers["x-ratelimit-reset"]) > time.time() + 3600


def test_latency_is_also_a_distribution_or_three_percentiles() -> None:
    """The language of faults has the names."""
    assert latency("pareto(low=10ms, alpha=2)") == ParetoLatency(low=0.01, alpha=2)
    assert latency("0.02/0.1/0.5") == Latency(p50=0.02, p95=0.1, p99=0.5)


def test_tls_with_a_certificate_made_for_the_run(tmp_path: Path) -> None:
    """Clients trust it by the file, which is there from the ready line until the end, in place of an older one."""
    pytest.importorskip("trustme")
    file = tmp_path / "ca.pem"
    options = ("--admin-port", "off", "--log", "off", "--tls", str(file))
    with process(*options) as (killed, _):
        killed.kill()
        killed.wait(HANGS)
    left = file.read_bytes()
    with process(*options) as (running, url):
        assert file.read_bytes() != left
        assert url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=file)
        assert httpx.get(f"{url}/users/1", verify=context).status_code == 200
        running.terminate()
        assert running.wait(HANGS) == 0
    assert not file.exists()


def test_a_file_that_somebody_may_miss_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A private key, say; nor one that lies there by the time the server listens, nor through a link."""
    trustme = pytest.importorskip("trustme")
    file = tmp_path / "server.pem"
    trustme.CA().cert_pem.write_to_path(file)
    kept = file.read_bytes()
    (tmp_path / "link.pem").symlink_to(tmp_path / "nowhere")
    for name in ("server.pem", "link.pem", "."):
        with pytest.raises(SystemExit):
            main(["--port", "0", "--tls", str(tmp_path / name)])
        assert "there is something else, which would be lost" in capsys.readouterr().err
    assert file.read_bytes() == kept
    late = own_authority(tmp_path / "late.pem", "127.0.0.1")
    late.file.write_text("secret")
    with pytest.raises(OSError, match=r"cannot write the certificate to .*late.pem .*: name another file by --tls"):
        late.publish()
    late.withdraw()
    assert late.file.read_text() == "secret"


def test_a_certificate_is_written_for_a_server_that_listens_only(tmp_path: Path) -> None:
    """Or the one of another server, on the port that was wanted, would be gone."""
    pytest.importorskip("trustme")
    file = tmp_path / "ca.pem"
    with MockServer() as server:
        assert main(["--port", str(server.port), "--tls", str(file)]) == 1
    with pytest.raises(SystemExit):
        main(["--tls", str(file), "--rate-limit", "0/1s"])
    assert not file.exists()


def test_a_bad_certificate_is_told_by_its_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And what to give; nobody is asked for a password."""
    trustme = pytest.importorskip("trustme")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    issued, other = (trustme.CA().issue_cert("127.0.0.1") for _ in range(2))
    names = ("cert.pem", "other.pem", "locked.pem", "words.pem")
    certificate, another, locked, words = (tmp_path / name for name in names)
    issued.cert_chain_pems[0].write_to_path(certificate)
    other.private_key_pem.write_to_path(another)
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    how = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    locked.write_bytes(key.private_bytes(*how))
    words.write_text("no certificate")
    for options, said in (
        (["--cert", "no.pem"], "--cert no.pem: No such file or directory"),
        (["--cert", str(tmp_path)], "Is a directory"),
        (["--cert", str(certificate), "--key", "no.pem"], "--key no.pem: No such file or directory"),
        (["--cert", str(certificate)], "no certificate with its key (PEM) is in it; give a key of its own by --key"),
        (["--cert", str(words), "--key", str(another)], "give PEM files, the one with a certificate, the other with"),
        (["--cert", str(certificate), "--key", str(another)], "the key is that of another certificate"),
        (["--cert", str(certificate), "--key", str(locked)], "locked.pem: the key is encrypted; give one that is not"),
    ):
        with pytest.raises(SystemExit):
            main(["--port", "0", *options])
        told = capsys.readouterr().err
        assert said in told
        assert "tls=" not in told


def test_tls_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    """In one file or in two."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    both, certificate, key = (tmp_path / name for name in ("both.pem", "cert.pem", "key.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(both)
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    for options in (["--cert", str(both)], ["--cert", str(certificate), "--key", str(key)]):
        with process("--admin-port", "off", "--log", "off", *options) as (_, url):
            assert httpx.get(f"{url}/users/1", verify=context).status_code == 200


def test_without_trustme_tls_says_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Install it, or bring a certificate."""
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(SystemExit):
        main(["--tls", "ca.pem"])
    assert "pip install trustme" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "4"], "one process is all there is"),
        (["--workers", "many"], "one process is all there is"),
        (["--fault", "trunkate"], "truncate"),
        (["--fault", "reset seed=9"], "one value"),
        (["--fault", "rule(error(503), probability=2)"], "probability"),
        (["--scenario", "brownuot"], "brownuot"),
        (["--scenario", "reset"], "scenario"),
        (["--replay", "seed=x"], "seed"),
        (["--replay", "seed=1", "--fault", "reset"], "leave out"),
        (["--replay", "seed=1", "--seed", "0"], "leave out"),
        (["--latency", "pareto(low=-1, alpha=2)"], "low"),
        (["--latency", "0.02/0.1/0.05"], "p99"),
        (["--limit-dialect", "klingon"], "github"),
        (["--admin-port", "on"], "65535"),
        (["--key", "key.pem"], "--cert"),
        (["--limit-lies", "milliseconds"], "--limit-lies belongs to a --rate-limit"),
        (["--limit-dialect", "github"], "--limit-dialect belongs to a --rate-limit"),
        (["--limit-kind", "window"], "--limit-kind belongs to a --rate-limit"),
        (["--scenario", "rate_limit_storm"], "give a --rate-limit"),
        (["--replay", "seed=1 scenario=rate_limit_storm"], "give a --rate-limit"),
        (["--admin-port", "off", "--token-file", "t"], "--token-file belongs to an admin API"),
        (["--token-file", ""], "argument --token-file: "),
        (["--fault", "trunkate(after=1)"], "argument --fault: unknown fault 'trunkate'; did you mean 'truncate'?"),
        (["--fault", ""], "argument --fault: '': give a fault, such as"),
        (["--fault", "brownout"], "argument --fault: 'brownout' is no fault but a scenario"),
        (["--scenario", "brownot"], "argument --scenario: unknown scenario 'brownot'; did you mean 'brownout'?"),
        (["--scenario", ""], "argument --scenario: '': give one of brownout"),
        (["--replay", " "], "argument --replay: ' ': give the line"),
        (["--tls", "ca.pem", "--cert", "c.pem"], "not both"),
        (["--tls", "/no/such/folder/ca.pem"], "No such file"),
        (["--cert", "/no/such/file"], "--cert /no/such/file: No such file"),
        (["--http", "h3"], "httptools"),
    ],
)
def test_a_bad_option_is_explained(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, and a message with the way it would be right."""
    with pytest.raises(SystemExit) as caught:
        main(options)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_stubs_may_be_named_between_options(tmp_path: Path) -> None:
    """Before, behind and in between: all of them are read."""
    files = [tmp_path / f"{name}.yaml" for name in "ab"]
    for file in files:
        file.write_text(f"when: {{path: /{file.stem}}}\nanswer: {{status: 201}}\n")
    with process(str(files[0]), "--log", "off", str(files[1])) as (_, url):
        assert [httpx.get(f"{url}/{name}").status_code for name in "ab"] == [201, 201]


def test_help_has_groups_and_every_word_that_can_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Scenarios, dialects, lies, and where to read on."""
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    for part in ("what is served", "what goes wrong", "rate limit", "where it listens", "what it tells",
                 "brownout", "github", "milliseconds", "--caller-faults", "admin API"):  # fmt: skip
        assert part in said


def test_a_verdict_that_nobody_reads_is_no_crash() -> None:
    """`mockserver --check | head -1`: a line on standard error, and a status that is no success."""
    with process("--log", "off", "--admin-port", "off", "--check") as (running, _):
        assert running.stdout is not None
        running.stdout.close()
        running.terminate()
        assert running.wait(HANGS) == 1
        assert running.stderr is not None
        assert running.stderr.read() == "mockserver: cannot tell what --check found: Broken pipe\n"
