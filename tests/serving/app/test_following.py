"""What is wanted changes while something else is being done."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from serving.app import following
from serving.app.fleet import Fleet
from serving.app.following import Following
from serving.app.metrics import Metrics
from serving.app.pool import Pool
from serving.app.process import WorkerLost
from serving.app.settings import Halt, ServingSettings, Traffic, Watch
from serving.app.traffic import TrafficControl
from serving.app.versions import Source, Version, Wanted
from serving.golden import SMOKE_FILE, SmokeSet
from tests.conftest import ROOT


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """Versions serve that have files, without processes."""

    async def start(pool: Pool, begun: object = ()) -> None:
        if not (pool.version.folder / "MLmodel").is_file():
            raise WorkerLost("There are no files.")

    async def check(fleet: Fleet, pool: Pool) -> None:
        """It answers as it should."""

    monkeypatch.setattr(Pool, "start", start)
    monkeypatch.setattr(Fleet, "_check", check)
    monkeypatch.setattr("serving.app.fleet.LINGER_S", 0.0)
    return Fleet(1, ServingSettings(), SmokeSet.from_file(ROOT / SMOKE_FILE), Metrics())


@pytest.fixture
def versions(tmp_path: Path) -> list[Version]:
    found = [Version("news", str(number), tmp_path / str(number)) for number in range(4)]
    for version in found:
        version.folder.mkdir()
        (version.folder / "MLmodel").touch()
    return found


def test_files_that_are_wanted_again_while_others_are_removed_stay(
    fleet: Fleet, versions: list[Version], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: what was to be removed was found out once, before the first removal, which takes a while."""
    begun, go_on = threading.Event(), threading.Event()
    remove, removed = shutil.rmtree, []

    def remove_slowly(folder: Path, **options: Any) -> None:
        removed.append(folder)
        begun.set()
        go_on.wait(10)
        remove(folder, **options)

    monkeypatch.setattr("serving.app.following.shutil.rmtree", remove_slowly)
    champion, *others, challenger = versions

    async def follow() -> None:
        news: asyncio.Queue[Wanted] = asyncio.Queue()

        @asynccontextmanager
        async def watching(*_: object) -> AsyncIterator[AsyncIterator[Wanted]]:
            async def found() -> AsyncIterator[Wanted]:
                while True:
                    yield await news.get()

            yield found()

        monkeypatch.setattr(following, "watching", watching)
        traffic = TrafficControl(Traffic(), Halt(), tmp_path)
        tasks = Following(Source("news", ("champion", "challenger")), Watch(), fleet, traffic).begin(tmp_path)
        for each in (*others, challenger):
            news.put_nowait(Wanted(champion, each))
        await asyncio.to_thread(begun.wait, 10)
        [again] = [each for each in others if each.folder not in removed]
        news.put_nowait(Wanted(champion, again))
        await until(news.empty)
        await asyncio.sleep(0.05)
        go_on.set()
        await until(lambda: challenger.folder in removed)
        assert (again.folder / "MLmodel").is_file()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(follow())


def test_files_that_are_fetched_again_are_tried_at_once(fleet: Fleet, versions: list[Version]) -> None:
    """Regression: a version that became wanted again as its files were removed served a minute later."""
    first, second, *_ = versions
    (second.folder / "MLmodel").unlink()

    async def swap() -> None:
        assert not await fleet.swap_to(Wanted(first), with_challenger=False)
        assert await fleet.swap_to(Wanted(second), with_challenger=False)
        assert "tried again later" in (await fleet.swap_to(Wanted(second), with_challenger=False))["champion"]
        fetched = second._replace(folder=first.folder)
        assert not await fleet.swap_to(Wanted(fetched), with_challenger=False)
        pool = fleet.pool("champion")
        assert pool
        assert pool.version == fetched
        await fleet.close()

    asyncio.run(swap())
