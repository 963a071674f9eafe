"""What goes wrong around a server under chaos: swaps of the champion, killed workers, a failing LLM service."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from typing import NamedTuple

import aiohttp
from moody_service import Mood
from servers import FRONT, Running

from agent.champion import CHAMPION
from tests.serving.running import point

CHALLENGER = "challenger"
MOODS = ("error", "hang", "away")
WELL = "ok 20"
AFTERMATH_S = 20.0
"""How long a killed worker or a failing service may still cause refusals: loading takes a while beside all this."""
SWAP_S = 60.0


class Disturbance(NamedTuple):
    """Something that went wrong on purpose."""

    what: str
    began: float
    """In seconds since 1970."""
    ended: float

    def explains(self, moment: float, reason: str) -> bool:
        """Whether a refusal then, for that reason, may come from it."""
        is_of_provider = "provider" in reason
        return is_of_provider == (self.what in MOODS) and self.began <= moment <= self.ended + AFTERMATH_S


class World:
    """Everything around the callers that goes wrong.

    Args:
        server: What is asked.
        mood: The LLM's service.
        versions: Numbers of all versions.
    """

    def __init__(self, server: Running, mood: Mood, versions: list[str]) -> None:
        self._server = server
        self._mood = mood
        self._versions = versions
        self._champion = versions[0]
        self.disturbances: list[Disturbance] = []
        self.swaps: Counter[str] = Counter()

    async def run(self, session: aiohttp.ClientSession, until: float) -> None:
        """Let one thing after the other go wrong until a moment of the loop's clock."""
        outages = asyncio.create_task(self._fail_services(until))
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(random.uniform(1, 4))
            act = random.choice((self._swap, self._swap, self._swap_challenger, self._kill))
            await act(session)
        await outages
        await asyncio.sleep(AFTERMATH_S / 4)

    async def swap_to(self, session: aiohttp.ClientSession, number: str) -> bool:
        """Make a version the champion; whether it came to serve."""
        self._champion = number
        await asyncio.to_thread(point, CHAMPION, number)
        end = time.monotonic() + SWAP_S
        while time.monotonic() < end:
            async with session.get(f"{self._server.url}/version") as answer:
                if answer.status == 200 and (await answer.json())["version"] == number:
                    return True
            await asyncio.sleep(0.2)
        return False

    async def _swap(self, session: aiohttp.ClientSession) -> None:
        number = random.choice([each for each in self._versions if each != self._champion])
        began = time.time()
        done = await self.swap_to(session, number)
        unwell = any(each.what in MOODS and each.ended + AFTERMATH_S > began for each in self.disturbances)
        self.swaps["done" if done else "refused while the service was not well" if unwell else "not done"] += 1

    async def _swap_challenger(self, session: aiohttp.ClientSession) -> None:
        number = random.choice([each for each in self._versions if each != self._champion])
        await asyncio.to_thread(point, CHALLENGER, number)
        self.swaps["of the challenger"] += 1

    async def _kill(self, session: aiohttp.ClientSession) -> None:
        killable = {pid: role for pid, role in self._server.pids().items() if role != FRONT}
        if killable:
            pid = random.choice(list(killable))
            os.kill(pid, signal.SIGKILL)
            self.disturbances.append(Disturbance(f"{killable[pid]} killed", time.time(), time.time()))

    async def _fail_services(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until - 10:
            await asyncio.sleep(random.uniform(5, 25))
            mood, began, length_s = random.choice(MOODS), time.time(), random.uniform(2, 6)
            self.disturbances.append(Disturbance(mood, began, began + length_s))
            self._mood.be(mood)
            await asyncio.sleep(length_s)
            self._mood.be(WELL)
