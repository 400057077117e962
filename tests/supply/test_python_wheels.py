"""Which wheels of a lock are taken for which Python on which machine."""

from __future__ import annotations

import pytest

from aiplat.catalog.recipes import PythonRuntime
from aiplat.errors import AiplatError
from aiplat.supply.pypi import IndexFile
from aiplat.supply.python_wheels import Pinned, PythonTarget, chosen, pinned_in, targets_of

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
LOCK = f"""fast==1.0 ; sys_platform == 'linux' \\
    --hash={A} \\
    --hash={B}
new==2.0 ; python_full_version < '3.12' \\
    --hash={C}
"""
NEW, OLD = PythonTarget("3.13", "x86_64", "2.34"), PythonTarget("3.11", "aarch64", "2.34")


def file(name: str, digest: str = A) -> IndexFile:
    """A file of an index."""
    return IndexFile(name=name, url=f"https://index.test/{name}", digest=digest, size=1)


def fast(*digests: str) -> Pinned:
    """The first package of the lock."""
    return Pinned(pinned_in(LOCK)[0].requirement, frozenset(digests))


def test_a_lock_is_read_with_markers_and_hashes() -> None:
    """Each package keeps what it is wanted for and every digest it may have."""
    one, other = pinned_in(LOCK)
    assert (one.requirement.name, one.digests) == ("fast", {A, B})
    assert str(other.requirement.marker) == 'python_full_version < "3.12"'
    assert other.digests == {C}


def test_every_python_gets_the_best_wheel_it_can_install() -> None:
    """The one for its own version comes before one for every Python, and that before a pure one."""
    own = file("fast-1.0-cp313-cp313-manylinux_2_28_x86_64.whl")
    old_name = file("fast-1.0-cp311-cp311-manylinux2014_aarch64.manylinux_2_17_aarch64.whl", B)
    any_python, pure = file("fast-1.0-cp39-abi3-manylinux_2_28_x86_64.whl"), file("fast-1.0-py3-none-any.whl")
    files = [pure, any_python, own, old_name]
    assert chosen(fast(A, B), files, [NEW, OLD]) == [own, old_name]


def test_one_wheel_for_all_is_taken_once() -> None:
    """Targets share what fits all of them."""
    pure = file("fast-1.0-py3-none-any.whl")
    assert chosen(fast(A), [pure, file("fast-1.0.tar.gz")], [NEW, OLD]) == [pure]


@pytest.mark.parametrize(
    "name",
    [
        "fast-1.0-cp313-cp313-manylinux_2_38_x86_64.whl",
        "fast-1.0-cp313-cp313-musllinux_1_2_x86_64.whl",
        "fast-1.0-cp313-cp313-win_amd64.whl",
        "fast-1.0-cp313-cp313t-manylinux_2_28_x86_64.whl",
        "fast-1.0.tar.gz",
    ],
)
def test_what_does_not_fit_is_missed_by_name(name: str) -> None:
    """A newer C library, another one, another system, another ABI and sources are not installed."""
    with pytest.raises(AiplatError, match=r"no wheel of fast==1\.0.* for Python 3\.13 on x86_64"):
        chosen(fast(A), [file(name)], [NEW])


def test_a_file_with_another_hash_is_not_there() -> None:
    """The lock's digests decide, not the name."""
    with pytest.raises(AiplatError, match="no wheel"):
        chosen(fast(A), [file("fast-1.0-py3-none-any.whl", C)], [NEW])


def test_a_marker_leaves_a_target_out() -> None:
    """What only an old Python needs is not looked for with a new one."""
    assert chosen(pinned_in(LOCK)[1], [], [NEW]) == []


def test_targets_are_every_python_on_every_machine() -> None:
    """The recipe's lists multiply."""
    runtime = PythonRuntime(requirements="x", pythons=("3.11", "3.12"), machines=("x86_64",), glibc="2.34")
    assert [str(t) for t in targets_of(runtime)] == ["Python 3.11 on x86_64", "Python 3.12 on x86_64"]
