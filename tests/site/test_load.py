"""What loading a site fills in, and what it refuses before it reads a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.errors import BadInput
from aiplat.site.load import load_site
from aiplat.site.yaml_file import MAX_BYTES

HEAD = "apiVersion: aiplat.dev/v1alpha1\nkind: Site\nname: ward-3\n"
HOST = "hosts:\n  - {name: s1, address: 10.0.0.11, role: server}\n"


def _write(folder: Path, text: str) -> Path:
    path = folder / "site.yaml"
    path.write_text(text)
    return path


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    """Networks, domain, endpoint and supply of a minimal site are the documented ones."""
    site = load_site(_write(tmp_path, HEAD + HOST))
    assert (site.cluster.pod_cidr, site.cluster.service_cidr) == ("10.42.0.0/16", "10.43.0.0/16")
    assert (site.domain, site.endpoint, site.supply) == ("ward-3.internal", "10.0.0.11", "auto")
    assert site.hosts[0].ssh.key is None


def test_on_and_off_are_words(tmp_path: Path) -> None:
    """YAML 1.2: `state: on` is the word on, no truth value."""
    site = load_site(_write(tmp_path, HEAD + HOST + "planes: {data: {postgresql: {state: off}}}\n"))
    assert site.planes["data"]["postgresql"].state == "off"


def test_merged_maps_give_way_to_own_keys(tmp_path: Path) -> None:
    """`<<: *anchor` fills in what a map does not say itself."""
    hosts = (
        "hosts:\n  - &s {name: s1, address: 10.0.0.11, role: server}\n  - {<<: *s, name: a1, role: agent, "
        "address: 10.0.0.12}\n"
    )
    first, second = load_site(_write(tmp_path, HEAD + hosts)).hosts
    assert (first.name, first.role) == ("s1", "server")
    assert (second.name, second.role, second.address) == ("a1", "agent", "10.0.0.12")


def test_a_key_file_is_found_from_home_and_from_the_sites_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`~` is the home folder; a relative path starts where the site file is; both come out absolute."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("in-home", "beside"):
        (tmp_path / name).touch(mode=0o600)
    hosts = (
        "hosts:\n"
        "  - {name: s1, address: 10.0.0.11, role: server, ssh: {key: ~/in-home}}\n"
        "  - {name: a1, address: 10.0.0.12, role: agent, ssh: {key: beside}}\n"
    )
    site = load_site(_write(tmp_path, HEAD + hosts))
    assert [h.ssh.key for h in site.hosts] == [tmp_path / "in-home", tmp_path / "beside"]


@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("key", 0o644, "so ssh refuses it; run chmod 600"),
        ("key.pub", 0o600, "is a public key; name the private"),
    ],
)
def test_a_key_that_ssh_would_refuse_is_refused(tmp_path: Path, name: str, mode: int, said: str) -> None:
    """A key that others can read, and a public one, are found before ssh is asked."""
    (tmp_path / name).touch()
    (tmp_path / name).chmod(mode)
    host = f"hosts:\n  - {{name: s1, address: 10.0.0.11, role: server, ssh: {{key: {name}}}}}\n"
    with pytest.raises(BadInput, match=said):
        load_site(_write(tmp_path, HEAD + host))


def test_a_bundle_is_found_from_the_sites_folder(tmp_path: Path) -> None:
    """bundle:PATH names an OCI image layout, relative to the site file; it comes out absolute."""
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "oci-layout").touch()
    site = load_site(_write(tmp_path, HEAD + "supply: bundle:./bundle\n" + HOST))
    assert site.supply == f"bundle:{tmp_path / 'bundle'}"


NAMES_A_CA = {
    "signIn": "signIn:\n  issuer: https://id.example.com\n  clientSecret: {fromSecret: x}\n  ca: %s\n"
    "  groups: {admin: [a]}\n" + HOST,
    "upstream": "upstream: {ca: %s}\n" + HOST,
    "registry": "cluster: {existing: ./site.yaml, registry: registry.example:5000, registryCA: %s}\n",
}


@pytest.mark.parametrize("text", NAMES_A_CA.values(), ids=NAMES_A_CA)
def test_a_ca_is_found_from_the_sites_folder_and_read_before_anything_is_installed(
    text: str, tmp_path: Path
) -> None:
    """It goes to servers, pods and people as it is: an API server does not start with half a certificate."""
    whole = (Path(__file__).parent / "valid" / "ca.pem").read_text()
    (tmp_path / "ca.pem").write_text(f"# Übungen\n{whole}{whole}")
    load_site(_write(tmp_path, HEAD + text % "ca.pem"))
    for wrong, said in (
        ("nothing", "ca.pem has no certificate"),
        (whole[:-100], "ca.pem has a certificate that cannot be read"),
        (whole + whole[:-100], "ca.pem has a certificate that cannot be read"),
        (f"{whole}-----BEGIN PRIVATE KEY-----\n", "ca.pem has a private key in PEM form in it"),
    ):
        (tmp_path / "ca.pem").write_text(wrong)
        with pytest.raises(BadInput, match=said):
            load_site(_write(tmp_path, HEAD + text % "ca.pem"))
    with pytest.raises(BadInput, match=r"there is no file .*lost\.pem"):
        load_site(_write(tmp_path, HEAD + text % "lost.pem"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is bad input, not a crash."""
    with pytest.raises(BadInput, match=r"site\.yaml: there is no such file"):
        load_site(tmp_path / "site.yaml")


def test_a_folder_is_no_site(tmp_path: Path) -> None:
    """A folder in place of a file is said to be one."""
    with pytest.raises(BadInput, match="is a folder, not a file"):
        load_site(tmp_path)


def test_a_path_through_a_file_cannot_be_read(tmp_path: Path) -> None:
    """The system's own reason is passed on."""
    path = _write(tmp_path, HEAD + HOST)
    with pytest.raises(BadInput, match="cannot be read: not a directory"):
        load_site(path / "site.yaml")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """A file of more than a mebibyte is surely not the one that was meant."""
    with pytest.raises(BadInput, match="is larger than 1 MiB"):
        load_site(_write(tmp_path, "#" * (MAX_BYTES + 1)))


def test_aliases_cannot_blow_up(tmp_path: Path) -> None:
    """Nine lines that stand for a billion values are refused at once."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(BadInput, match="too many or too deeply nested"):
        load_site(_write(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize("width", [1, 2])
def test_merged_maps_cannot_blow_up(tmp_path: Path, width: int) -> None:
    """Maps merged into maps double the work at each level, or go down as deep, without a single value."""
    levels = 60 if width == 1 else 24
    lines = ["a0: &a0 {}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * width)}]}}" for i in range(1, levels)]
    with pytest.raises(BadInput, match="too many or too deeply nested"):
        load_site(_write(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize(
    "text", ["[" * 5000, "[" * 1_000_000, "x: " + "{a: [" * 150_000], ids=["5 thousand", "a million", "maps"]
)
def test_endless_brackets_are_refused(tmp_path: Path, text: str) -> None:
    """Nesting that would exhaust the parser's stack, or take it hours, is bad input."""
    with pytest.raises(BadInput, match=r"too many or too deeply nested"):
        load_site(_write(tmp_path, text))


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    """Editors on Windows write one in front of UTF-8."""
    path = tmp_path / "site.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + (HEAD + HOST).replace("\n", "\r\n").encode())
    assert load_site(path).name == "ward-3"


def test_a_file_without_an_end_is_refused(tmp_path: Path) -> None:
    """A device has no size to ask for; no more of it is read than a site may have."""
    (tmp_path / "site.yaml").symlink_to("/dev/zero")
    with pytest.raises(BadInput, match="larger than 1 MiB"):
        load_site(tmp_path / "site.yaml")
