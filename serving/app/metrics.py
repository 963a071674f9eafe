"""What Prometheus is told."""

from functools import lru_cache, partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """All figures of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=self._registry), partial(Gauge, registry=self._registry)
        seconds = partial(Histogram, registry=self._registry, buckets=SECONDS)
        answer = ["version", "role"]
        self._requests = counter("news_requests", "Requests by route and status; 499: it was left", ["route", "status"])
        self._request_seconds = seconds("news_request_seconds", "From the head of a request to its end", ["route"])
        self._articles = counter("news_articles", "Articles; outcome: ok, or the error's type", [*answer, "outcome"])
        self._article_seconds = seconds("news_article_seconds", "From asking a version to its answer", answer)
        self._cost = counter("news_cost_usd", "What the answers cost, in US dollars", answer)
        self.swaps = counter("news_swaps", "New versions taken in, by role and outcome", ["role", "outcome"])
        self.swap_failing = gauge("news_swap_failing", "1 while what should serve cannot: alert", ["role"])
        self.registry_unreadable = gauge("news_registry_unreadable", "1 while the aliases cannot be read: alert")
        self.restarts = counter("news_worker_restarts", "Workers that were replaced")
        self.halted = gauge("news_challenger_halted", "1 while the challenger's share is taken away: alert")
        self.serving = gauge("news_version_info", "1 for each version that serves", ["role", "version"])
        self.workers = gauge("news_workers", "Workers that can be asked", ["role"])
        self.provider_down = gauge("news_provider_down", "1 while a version's provider is left alone", ["role"])
        self.in_flight = gauge("news_requests_in_flight", "Requests being answered")
        self.log_waiting = gauge("news_log_waiting", "Predictions not written yet")
        self.log_written = gauge("news_log_written", "Predictions written")
        self.log_dropped = gauge("news_log_dropped", "Predictions lost")
        self.log_failing = gauge("news_log_failing", "1 while predictions cannot be written: alert")
        self.shadows_skipped = counter("news_shadows_skipped", "Articles that the shadow was too busy for")
        self._request_of = lru_cache(1024)(lambda route, status: self._requests.labels(route, status))
        self._seconds_of = lru_cache(1024)(self._request_seconds.labels)
        self._article_of = lru_cache(1024)(self._articles.labels)
        self._article_seconds_of = lru_cache(1024)(self._article_seconds.labels)
        self._cost_of = lru_cache(1024)(self._cost.labels)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._request_of(route, status).inc()
        self._seconds_of(route).observe(seconds)

    def article(self, version: str, role: str, outcome: str, seconds: float, cost_usd: float | None) -> None:
        """Count an article that a version answered."""
        self._article_of(version, role, outcome).inc()
        self._article_seconds_of(version, role).observe(seconds)
        if cost_usd:
            self._cost_of(version, role).inc(cost_usd)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)
