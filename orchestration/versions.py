"""Dagster runs, DVC remembers: the jobs ``record_versions`` and ``adopt_checkout``, which carry news between the two.

From a shell: ``python -m orchestration.versions record [ASSET ...]`` and ``python -m orchestration.versions adopt``.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
from pydantic import Field

from assets_defs.config import LOOKING, ROOT, WHOLE, assets, code_version, inputs
from assets_defs.faces import SOURCES
from assets_defs.lineage import column_lineage, revision
from assets_defs.resources import Workspace
from assets_defs.results import MADE_OF, SETTINGS, made_of
from assets_defs.settings import settings_of
from ops.content import directory_md5
from ops.files import write_atomic
from ops.store import MANIFEST, DatasetBusy
from orchestration.freshness import DATA_VERSION, latest, overlooked, unlike
from orchestration.home import home
from resources import dvc

RAW = "data/raw.dvc"
"""What ``dvc add data/raw`` makes, where raw files are versioned too."""


class Refused(RuntimeError):
    """Nothing was recorded or adopted, and why."""


def record(instance: dg.DagsterInstance, wanted: Sequence[str] = ()) -> list[str]:
    """Put what Dagster's runs made into DVC's cache and dvc.lock.

    Args:
        instance: where the runs are known.
        wanted: assets, recorded with all that they are made of; every one that was made when empty.

    Returns:
        The assets recorded, inputs first.

    Raises:
        Refused: one of them is not what params.yaml, the code and data/raw would make now, or did not pass its checks.
            dvc.lock is as it was.
        DvcError: DVC could not do it; dvc.lock is as it was.
    """
    workspace = Workspace()
    places = {name: [""] if name in WHOLE else workspace.sources() for name in assets()}
    unknown = sorted(set(wanted) - places.keys())
    if unknown:
        raise Refused(f"there is no asset {', '.join(unknown)}; there are {', '.join(places)}")
    made = wanted or [name for name in places if any(latest(instance, name, place) for place in places[name])]
    names = _with_inputs(made)
    if not names:
        raise Refused("nothing was made yet: materialize something first")
    content = {name: directory_md5(workspace.folder / name) for name in names}
    _refuse([_title(name, place) + why for name, place, why in _wrong(instance, workspace, places, names)])
    with _lock_put_back():
        dvc.commit(ROOT, [*names, *([RAW] if (ROOT / RAW).is_file() else [])])
        now = dvc.locked(ROOT)
        moved = [name for name in names if now[name] != {f"data/{name}": content[name]}]
        looked = [(name, place) for name in names if name in LOOKING for place in places[name]]
        moved += [_title(*each) + "raw files" for each in looked if overlooked(workspace, *each)]
        _refuse([f"{each} changed while it was recorded: record again when nothing runs" for each in moved])
    return names


def adopt(instance: dg.DagsterInstance) -> tuple[list[str], dict[str, str]]:
    """Tell Dagster what ``git checkout`` and ``dvc checkout`` have put on disk, so that it is fresh there.

    DVC vouches for it: a stage whose code, settings, inputs or output are not those of dvc.lock is left out.

    Returns:
        The partitions that are news to Dagster, as they are shown, and assets left out, each with the reason.

    Raises:
        Refused: there is no dvc.lock.
        DvcError: DVC could not look.
    """
    workspace, known = Workspace(), dvc.locked(ROOT)
    if not known:
        raise Refused("there is no dvc.lock: nothing was ever recorded")
    instance.add_dynamic_partitions(str(SOURCES.name), workspace.sources())
    left, told = dvc.changed(ROOT, [name for name in assets() if name in known]), []
    for name in assets():
        if name not in known or name in left:
            continue
        for place in [""] if name in WHOLE else workspace.sources():
            if not (workspace.dataset(name, place).manifest).is_file():
                left[name] = f"data/{name}/{place} has no {MANIFEST}"
            elif unlike(instance, workspace, name, place):
                instance.report_runless_asset_event(_event(instance, workspace, name, place))
                told.append(_title(name, place))
    return [title.removesuffix(": ") for title in told], left


def _with_inputs(wanted: Sequence[str]) -> list[str]:
    """Return assets and all that they are made of, inputs first."""
    found, todo = set(wanted), list(wanted)
    while todo:
        new = set(inputs(todo.pop())) - found
        found |= new
        todo += new
    return [name for name in assets() if name in found]


def _wrong(
    instance: dg.DagsterInstance, workspace: Workspace, places: dict[str, list[str]], names: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield each dataset that is not as it would be made now, with what is wrong."""
    for name in names:
        for place in places[name]:
            if why := _why(instance, workspace, name, place):
                yield name, place, why
        if name not in WHOLE:
            lost = {path.name for path in (workspace.folder / name).glob("*/")} - set(places[name])
            yield from ((name, place, "data/raw has no such source; remove its folder, too") for place in sorted(lost))


def _why(instance: dg.DagsterInstance, workspace: Workspace, name: str, place: str) -> str | None:
    if latest(instance, name, place) is None:
        return "it was never made, or never adopted"
    try:
        with workspace.dataset(name, place).lock():
            why = unlike(instance, workspace, name, place)
    except DatasetBusy:
        return "it is being made"
    return why or (overlooked(workspace, name, place) if name in LOOKING else None)


def _title(name: str, place: str) -> str:
    return f"{name} [{place}]: " if place else f"{name}: "


def _refuse(reasons: Sequence[str]) -> None:
    if reasons:
        raise Refused("\n".join(reasons))


@contextmanager
def _lock_put_back() -> Iterator[None]:
    """Leave dvc.lock as it was, unless the block ends well."""
    path = ROOT / dvc.LOCK
    before = path.read_bytes() if path.is_file() else None
    try:
        yield
    except BaseException:
        if before is None:
            path.unlink(missing_ok=True)
        else:
            write_atomic(path, before)
        raise


def _event(instance: dg.DagsterInstance, workspace: Workspace, name: str, place: str) -> dg.AssetMaterialization:
    """Return what a run would have recorded of a dataset that lies there.

    Tags are those that Dagster gives to a run's own materializations; pointers to the latest events of inputs let it
    see when one of them is made anew. Of an input that it knows nothing of it has INITIAL and NULL, as Dagster itself.
    """
    dataset, settings = workspace.dataset(name, place), settings_of(name)
    status = dataset.read(["status"])["status"].value_counts()
    told: dict[str, Any] = {
        f"dagster/{'partition_row_count' if place else 'row_count'}": int(status.sum()),
        "dagster/column_lineage": column_lineage(name),
        **revision(name),
        **{str(each): int(count) for each, count in status.items()},
        "folder": dg.MetadataValue.path(str(dataset.folder)),
        SETTINGS: dg.MetadataValue.json(settings),
        MADE_OF: made_of(workspace, name, place, settings),
        "adopted": "from dvc.lock",
    }
    tags = {
        DATA_VERSION: directory_md5(dataset.folder),
        "dagster/data_version_is_user_provided": "true",
        "dagster/code_version": code_version(name),
    }
    for each in inputs(name):
        records = instance.fetch_materializations(dg.AssetKey(each), limit=1).records
        event = records[0].asset_materialization if records else None
        tags[f"dagster/input_data_version/{each}"] = ((event and event.tags) or {}).get(DATA_VERSION, "INITIAL")
        tags[f"dagster/input_event_pointer/{each}"] = str(records[0].storage_id) if records else "NULL"
    return dg.AssetMaterialization(name, metadata=told, partition=place or None, tags=tags)


class RecordConfig(dg.Config):
    """Settings of ``record_versions``."""

    assets: list[str] = Field(
        default=[], description="recorded with all that they are made of; every one that was made when empty"
    )


@dg.op(description="Commit data/ to DVC; refused where it is not what params.yaml, code and raw files would make.")
def commit_to_dvc(context: dg.OpExecutionContext, config: RecordConfig) -> None:
    """Record, and say what is to be committed to git."""
    try:
        names = record(context.instance, config.assets)
    except (Refused, dvc.DvcError) as error:
        raise dg.Failure(f"nothing was recorded:\n{error}") from None
    context.log.info(f"recorded in dvc.lock: {', '.join(names)}; now commit dvc.lock and params.yaml to git")


@dg.op(description="Tell Dagster what git checkout and dvc checkout have put into data/.")
def report_checkout(context: dg.OpExecutionContext) -> None:
    """Adopt, and say what is left out."""
    try:
        told, left = adopt(context.instance)
    except (Refused, dvc.DvcError) as error:
        raise dg.Failure(f"nothing was adopted: {error}") from None
    context.log.info(f"adopted: {', '.join(told) or 'nothing that was not known'}")
    for name, why in left.items():
        context.log.warning(f"{name} is left out, it is not as in dvc.lock: {why}")


@dg.job(description="After runs in the UI: what they made goes into DVC's cache and dvc.lock.")
def record_versions() -> None:
    """Record once."""
    commit_to_dvc()


@dg.job(description="After `git checkout` and `dvc checkout`: what is on disk is fresh again, and nothing is made.")
def adopt_checkout() -> None:
    """Adopt once."""
    report_checkout()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 all is told, 1 refused, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.versions", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    recording = verbs.add_parser("record", help="what runs made goes into DVC's cache and dvc.lock")
    recording.add_argument("assets", nargs="*", help="with all that they are made of; every one that was made if none")
    verbs.add_parser("adopt", help="Dagster is told what git checkout and dvc checkout have put on disk")
    asked = parser.parse_args(arguments)
    home()
    with dg.DagsterInstance.get() as instance:
        try:
            if asked.verb == "record":
                print(f"recorded in dvc.lock: {', '.join(record(instance, asked.assets))}")
                return 0
            told, left = adopt(instance)
        except (Refused, dvc.DvcError) as error:
            print(error, file=sys.stderr)
            return 1
    print(f"adopted: {', '.join(told) or 'nothing that was not known'}")
    for name, why in left.items():
        print(f"left out, not as in dvc.lock: {name}: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
