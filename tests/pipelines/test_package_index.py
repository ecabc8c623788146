import base64
import ssl

import pytest
from fake_package_index import serving, sha256

from stylegan_jax.errors import UserError
from stylegan_jax.pipelines import package_index
from stylegan_jax.pipelines.package_index import PackageIndex, Unreachable
from stylegan_jax.pipelines.package_pages import read_page
from stylegan_jax.pipelines.pip_settings import pip_settings

NAME = "faces-3.0-py3-none-any.whl"


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as fake:
        yield fake


def _download(index, target):
    index.download("faces==3.0", NAME, target)
    return target.read_bytes()


@pytest.mark.parametrize("as_json", [False, True])
def test_the_named_file_is_fetched(fake, tmp_path, as_json):
    fake.json = as_json
    assert _download(fake.index(), tmp_path / "a") == fake.files[NAME]
    assert fake.requests == ["/simple/faces/", f"/files/{NAME}"]


def test_names_are_normalised_for_the_page(fake, tmp_path):
    with pytest.raises(UserError, match="has no file x of Fa_ces.io==3.0"):
        fake.index().download("Fa_ces.io==3.0", "x", tmp_path / "a")
    assert fake.requests == ["/simple/fa-ces-io/"]


@pytest.mark.parametrize("stated", ["sha256", None])
def test_no_digest_is_no_mistake_and_a_wrong_one_is(fake, tmp_path, stated):
    fake.hashes[NAME] = stated and sha256(fake.files[NAME]).upper()
    assert _download(fake.index(), tmp_path / "a") == fake.files[NAME]
    fake.hashes[NAME] = "0" * 64
    with pytest.raises(UserError, match="was deleted: try again"):
        _download(fake.index(), tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(("failures", "works"), [(1, True), (2, True), (3, False)])
def test_three_attempts_are_made(fake, tmp_path, failures, works):
    fake.fail = failures
    if works:
        assert _download(fake.index(), tmp_path / "a") == fake.files[NAME]
    else:
        with pytest.raises(Unreachable, match="it answered 503"):
            _download(fake.index(), tmp_path / "a")
        assert len(fake.requests) == 3


def test_a_connection_that_ends_early_is_tried_again(fake, tmp_path):
    fake.cut = 10
    with pytest.raises(Unreachable):
        _download(fake.index(), tmp_path / "a")
    assert len(fake.downloads()) == 3 and not (tmp_path / "a").exists()


def test_a_server_that_falls_silent_is_given_up(fake, tmp_path, monkeypatch):
    import threading

    over = threading.Event()
    monkeypatch.setattr(fake, "answer", lambda _: over.wait(10))
    try:
        with pytest.raises(Unreachable, match="it did not answer in time"):
            _download(fake.index(timeout=0.1, attempts=1), tmp_path / "a")
    finally:
        over.set()


def test_a_refusal_is_not_tried_again(fake, tmp_path):
    fake.login = "something"
    with pytest.raises(Unreachable, match="it answered 401"):
        _download(fake.index(), tmp_path / "a")
    assert len(fake.requests) == 1


def test_a_password_is_sent_to_the_index_and_never_told(fake, tmp_path):
    fake.login = "Basic " + base64.b64encode(b"me:s3:cret@").decode()
    url = fake.url.replace("http://", "http://me:s3%3Acret%40@")
    index = fake.index(url=url)
    assert _download(index, tmp_path / "a") == fake.files[NAME]
    assert "s3" not in index.name
    with pytest.raises(UserError) as caught:
        index.download("nothing==1", "nothing.whl", tmp_path / "b")
    assert "s3" not in str(caught.value)


def test_a_password_is_not_sent_to_another_host(fake, tmp_path, monkeypatch):
    other = fake.url.replace("127.0.0.1", "localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setattr(
        fake,
        "page",
        lambda *_: (
            "text/html",
            f'<a href="{other}../files/{NAME}">{NAME}</a>'.encode(),
        ),
    )
    url = fake.url.replace("http://", "http://me:secret@")
    _download(fake.index(url=url), tmp_path / "a")
    page, archive = fake.headers
    assert "Authorization" in page and "Authorization" not in archive


def test_a_password_does_not_follow_a_redirect(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    fake.moved = fake.url.replace("127.0.0.1", "localhost").replace("/simple/", "/else")
    url = fake.url.replace("http://", "http://me:secret@")
    assert _download(fake.index(url=url), tmp_path / "a") == fake.files[NAME]
    assert fake.requests[:2] == ["/simple/faces/", "/else/simple/faces/"]
    assert ["Authorization" in headers for headers in fake.headers] == [
        True,
        False,
        False,
    ]


def test_endless_answers_are_cut_off(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(package_index, "MAX_ARCHIVE_BYTES", 100)
    with pytest.raises(UserError, match="is longer than"):
        _download(fake.index(), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_an_index_in_a_folder(fake, tmp_path):
    page = tmp_path / "simple" / "faces" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<a href="../../{NAME}">{NAME}</a>')
    (tmp_path / NAME).write_bytes(b"abc")
    index = PackageIndex((tmp_path / "simple").as_uri())
    assert _download(index, tmp_path / "a") == b"abc"


def test_certificates(fake, tmp_path):
    index = fake.index(url="https://127.0.0.1:9", certificates=str(tmp_path / "none"))
    with pytest.raises(UserError, match="cannot read the certificates .*PIP_CERT"):
        _download(index, tmp_path / "a")
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "self-signed certificate"
    assert package_index._said(error) == (
        "its certificate is not trusted: self-signed certificate; SSL_CERT_FILE or "
        "PIP_CERT names others"
    )


PAGE = """<!DOCTYPE html><base href="/root/"><a href="a-1.whl#sha256=ab">a</a>
<a href="https://host/p/b%2B1.tar.gz">b</a><a href="file:///etc/passwd">c</a>
<a href="http://[bad">d</a><a name="e">e</a>"""


def test_pages_of_links():
    links = read_page(PAGE, "text/html", "https://index/simple/a/")
    assert {name: (link.url, link.hashes) for name, link in links.items()} == {
        "a-1.whl": ("https://index/root/a-1.whl", {"sha256": "ab"}),
        "b+1.tar.gz": ("https://host/p/b%2B1.tar.gz", {}),
    }


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"files": 1}', '{"files": [{"url": 1}]}', "[" * 10**5]
)
def test_a_page_that_is_no_index_is_refused(text):
    with pytest.raises(ValueError, match="not that of a package index"):
        read_page(text, package_index.ACCEPT.split(",")[0], "https://index/")


@pytest.fixture
def no_pip(monkeypatch, tmp_path):
    for name in ("PIP_INDEX_URL", "PIP_CERT", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    return tmp_path / "pip.conf"


def test_pip_is_asked_for_its_index(no_pip, monkeypatch):
    no_pip.write_text("[global]\nindex_url = https://mirror/simple\ncert = /c.pem\n")
    index = PackageIndex.from_environment()
    assert index.url == "https://mirror/simple" and index.certificates == "/c.pem"
    monkeypatch.setenv("PIP_INDEX_URL", "https://other/simple")
    monkeypatch.setenv("PIP_CERT", "/d.pem")
    index = PackageIndex.from_environment()
    assert index.url == "https://other/simple" and index.certificates == "/d.pem"


def test_files_that_pip_could_not_read_say_nothing(no_pip):
    for text in (b"index-url = x", b"\xff\xfe\x00", b"[install]\nindex-url = x"):
        no_pip.write_bytes(text)
        assert pip_settings().get("index-url") != "x"


def test_the_null_device_turns_configuration_off(no_pip, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    assert pip_settings() == {}
    assert PackageIndex.from_environment() == PackageIndex()


def test_an_index_that_is_no_address_is_refused(no_pip, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "pypi")
    with pytest.raises(UserError, match="'pypi' is no web address: mend PIP_INDEX_URL"):
        PackageIndex.from_environment()
