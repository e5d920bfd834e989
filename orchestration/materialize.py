"""Materialize what is stale, in one process, with progress bars: ``python -m orchestration.materialize ASSET``.

It records to the same instance as ``make dev``, so the UI shows these runs too.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from assets_defs.config import WHOLE, inputs
from assets_defs.resources import Compute, Models, Tracking, Workspace
from assets_defs.settings import settings_of
from ops.plain_yaml import BadYaml, read_yaml
from ops.telling import tellable
from orchestration.definitions import defs
from orchestration.failures import root_of
from orchestration.forgotten import end_forgotten
from orchestration.freshness import stale
from orchestration.home import home

SOURCE = "source"
Wishes = Mapping[str, Mapping[str, Any]]
"""Settings by asset that take the place of those in params.yaml, for this run."""


def order() -> list[str]:
    """Return the names of all assets, inputs first."""
    graph = defs.resolve_asset_graph()
    return [key.to_user_string() for keys in graph.toposorted_asset_keys_by_level for key in sorted(keys)]


def groups() -> dict[str, list[str]]:
    """Return the assets of each group, inputs first; ``all`` is every one."""
    graph = defs.resolve_asset_graph()
    found: dict[str, list[str]] = {"all": order()}
    for name in found["all"]:
        found.setdefault(graph.get(dg.AssetKey(name)).group_name, []).append(name)
    return found


def steps(assets: list[str], sources: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each asset with each source, or with "" where all sources make one."""
    for name in assets:
        yield from ((name, source) for source in ([""] if name in WHOLE else sources))


def cause(result: dg.ExecuteInProcessResult) -> str:
    """Return the blocking check or the error behind a failed run; the UI has the whole trace."""
    checks = [check for check in result.get_asset_check_evaluations() if check.blocking and not check.passed]
    if checks:
        return f"check {', '.join(check.check_name for check in checks)} did not pass"
    errors = (event.step_failure_data.error for event in result.all_events if event.is_step_failure)
    error = next(errors, None)
    return root_of(error).message.strip() if error else "no step told why"


def materialize(
    assets: list[str], sources: list[str], *, compute: Compute, device: str, force: bool, wishes: Wishes
) -> bool:
    """Materialize what is stale of ``assets`` for every source; True when everything ended well.

    Where an asset fails, what is made of it is left out for that source; the other sources go on. What all sources make
    together is made without those whose inputs failed, unless that is all of them.
    """
    workspace = Workspace()
    resources = {"workspace": workspace, "models": Models(device=device), "compute": compute}
    resources["tracking"] = Tracking()
    lost: set[tuple[str, str]] = set()
    with dg.DagsterInstance.get() as instance:
        end_forgotten(instance)
        instance.add_dynamic_partitions(SOURCE, workspace.sources())
        for asset, source in steps(assets, sources):
            title = tellable(f"{asset} [{source}]") if source else asset
            failed = {place for name, place in lost if name in inputs(asset)}
            if failed & {source, ""} or (failed and not source and failed >= set(sources)):
                print(f"{title}: left out, its input failed", file=sys.stderr)
                lost.add((asset, source))
                continue
            here = Workspace(without=sorted(failed))
            why = "it was asked for" if force else stale(instance, here, asset, source, wishes.get(asset))
            if why is None:
                print(f"{title}: fresh")
                continue
            if failed and not source:
                print(f"{title}: without {', '.join(sorted(failed))}, whose input failed", file=sys.stderr)
            start = time.perf_counter()
            result = run(instance, resources | {"workspace": here}, asset, source, wishes.get(asset))
            if not result.success:
                print(f"{title}: FAILED: {tellable(cause(result))}", file=sys.stderr)
                lost.add((asset, source))
                continue
            (event,) = result.asset_materializations_for_node(asset)
            told = {name: event.metadata[name].value for name in ("made", "kept", "done", "skipped", "rejected")}
            figures = ", ".join(f"{name} {value}" for name, value in told.items())
            print(f"{title}: {figures} ({time.perf_counter() - start:.1f} s; {why})")
    return not lost


def run(
    instance: dg.DagsterInstance,
    resources: Mapping[str, Any],
    asset: str,
    source: str,
    wishes: Mapping[str, Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialize one asset of one source, or of all of them (""); failures are in the result."""
    settings = {"ops": {asset: {"config": dict(wishes)}}} if wishes else {}
    return dg.materialize(
        [asset for asset in defs.assets or [] if isinstance(asset, dg.AssetsDefinition)],
        selection=[asset],
        partition_key=source or None,
        instance=instance,
        resources=resources,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}, **settings},
        raise_on_error=False,
    )


def read_wishes(texts: Sequence[str], known: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read settings given as ``ASSET.NAME=VALUE``, the value in YAML.

    Raises:
        ValueError: a text is no such thing, or names no asset, no setting, or no value that it can have.

    >>> read_wishes(["frames.fps=2", "frames.identity=none"], ["frames"])
    {'frames': {'fps': 2.0, 'identity': 'none'}}
    """
    wishes: dict[str, dict[str, Any]] = {}
    for text in texts:
        place, equals, value = text.partition("=")
        asset, dot, name = place.partition(".")
        if not (equals and dot) or asset not in known:
            raise ValueError(f"{text!r} is no ASSET.NAME=VALUE; the assets are {', '.join(known)}")
        try:
            wishes.setdefault(asset, {})[name] = read_yaml(value.encode())
        except BadYaml as error:
            raise ValueError(f"{value!r} of {place} is no YAML: {error}") from None
    told = {asset: settings_of(asset, wanted) for asset, wanted in wishes.items()}
    return {asset: {name: told[asset][name] for name in wanted} for asset, wanted in wishes.items()}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 all went well, 1 a run failed, 2 wrong usage."""
    known, together = order(), groups()
    parser = argparse.ArgumentParser(prog="python -m orchestration.materialize", description=__doc__)
    names = [*together, *known]
    parser.add_argument("assets", nargs="+", choices=names, metavar="ASSET", help=f"or a group: {', '.join(names)}")
    parser.add_argument("--source", action="append", help="a folder under data/raw; every one by default")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0 lets the amount of work decide")
    parser.add_argument("--compute", choices=["local", "ray"], help="this machine's processes, or a Ray cluster's")
    parser.add_argument("--address", help="of the Ray cluster, host:port; empty starts one on this machine")
    parser.add_argument("--gpus", type=float, help="share of a GPU that each worker on Ray takes, such as 0.25")
    parser.add_argument("--device", choices=["auto", "cuda", "cpu"], default="auto")
    parser.add_argument("--force", action="store_true", help="run even what is fresh; finished items are still kept")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="ASSET.NAME=VALUE",
        help="a setting for this run in the place of that in params.yaml, its value in YAML; may be repeated",
    )
    told = parser.parse_args(arguments)
    try:
        wishes = read_wishes(told.set, known)
    except ValueError as error:
        parser.error(str(error))
    present = Workspace().sources()
    unknown = sorted(set(told.source or []) - set(present))
    if unknown or not present:
        parser.error(
            f"source {', '.join(unknown)} is not under data/raw; there is: {', '.join(present)}"
            if unknown
            else "data/raw has no source folder; put pictures in data/raw/<source>, or run `make sample`"
        )
    home()
    asked = {asset for name in told.assets for asset in together.get(name, [name])}
    wanted = [asset for asset in known if asset in asked]
    given = {name: getattr(told, name) for name in ("workers", "compute", "address", "gpus")}
    compute = Compute(**{name: value for name, value in given.items() if value is not None})
    how = {"compute": compute, "device": told.device, "force": told.force}
    well = materialize(wanted, told.source or present, **how, wishes=wishes)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
