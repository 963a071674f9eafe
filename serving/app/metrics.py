"""What Prometheus is told."""

from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """All figures of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "news_requests", "Requests by route and status", ["route", "status"], registry=self._registry
        )
        self._request_seconds = Histogram(
            "news_request_seconds",
            "From the head of a request to the end of its answer",
            ["route"],
            registry=self._registry,
            buckets=SECONDS,
        )
        self._articles = Counter(
            "news_articles",
            "Articles by version, role and outcome (ok or the type of the error)",
            ["version", "role", "outcome"],
            registry=self._registry,
        )
        self._article_seconds = Histogram(
            "news_article_seconds",
            "From asking a version to its answer",
            ["version", "role"],
            registry=self._registry,
            buckets=SECONDS,
        )
        self._cost = Counter(
            "news_cost_usd", "What the answers cost, in US dollars", ["version", "role"], registry=self._registry
        )
        self.swaps = Counter(
            "news_swaps", "New versions taken in, by role and outcome", ["role", "outcome"], registry=self._registry
        )
        self.swap_failing = Gauge(
            "news_swap_failing", "1 while a version that should serve cannot: alert", ["role"], registry=self._registry
        )
        self.registry_unreadable = Gauge(
            "news_registry_unreadable", "1 while the aliases cannot be read: alert", registry=self._registry
        )
        self.restarts = Counter("news_worker_restarts", "Workers that were replaced", registry=self._registry)
        self.halted = Gauge(
            "news_challenger_halted", "1 while the challenger's share is taken away: alert", registry=self._registry
        )
        self.serving = Gauge(
            "news_version_info", "1 for each version that serves", ["role", "version"], registry=self._registry
        )
        self.workers = Gauge("news_workers", "Workers that can be asked", ["role"], registry=self._registry)
        self.provider_down = Gauge(
            "news_provider_down", "1 while a version's provider is left alone", ["role"], registry=self._registry
        )
        self.in_flight = Gauge("news_requests_in_flight", "Requests being answered", registry=self._registry)
        self.log_waiting = Gauge("news_log_waiting", "Predictions not written yet", registry=self._registry)
        self.log_written = Gauge("news_log_written", "Predictions written", registry=self._registry)
        self.log_dropped = Gauge("news_log_dropped", "Predictions lost", registry=self._registry)
        self.log_failing = Gauge(
            "news_log_failing", "1 while predictions cannot be written: alert", registry=self._registry
        )
        self.shadows_skipped = Counter(
            "news_shadows_skipped", "Articles that the shadow was too busy for", registry=self._registry
        )
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
