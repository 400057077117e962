"""Runs the looks that stand on standard input and prints what they saw, or which Python is too old."""

# Sent as `python3 -c`, so that one call carries several modules. Nothing here may be newer than Python 3.4.
import json
import pathlib
import sys
import types


def main() -> None:
    """Print one JSON document: what each module's `facts` returned, laid over one another."""
    asked = json.load(sys.stdin)
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < (3, 9):  # noqa: UP036 - hosts may have an older one than this machine
        json.dump({"too_old": version}, sys.stdout)
        return
    seen = {}
    for name, source in asked["modules"]:
        module = types.ModuleType(name)
        exec(compile(source, name, "exec"), module.__dict__)  # noqa: S102 - what aiplat itself sent
        seen.update(module.facts(pathlib.Path(asked["root"]), asked["arguments"]))
    json.dump(seen, sys.stdout)


main()
