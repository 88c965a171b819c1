"""`Providers`: what can be made, by type; and which combinations cannot work.

Mistakes are found when a provider is registered, as far as they can be known then: what is missing
may still come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .protocols import Lifetime, ServiceError, type_name
from .provider import Provider, can_be_built


class Providers:
    """The providers of one app."""

    def __init__(self) -> None:
        self._providers: dict[Any, Provider] = {}

    def add(self, kind: Any, factory: Callable[..., Any], lifetime: Lifetime) -> None:
        """Register a provider; the last one of a type counts. See `Services.provide`."""
        if lifetime not in {"singleton", "scoped", "transient"}:
            raise ServiceError(
                f"{lifetime!r} is no lifetime; give 'singleton', 'scoped' or 'transient'", kind=kind
            )
        if not callable(factory):
            raise ServiceError(
                f"{factory!r} makes nothing, because it cannot be called; "
                f"give a function, such as lambda: {factory!r}",
                kind=kind,
            )
        provider = Provider(kind, factory, lifetime)
        before = self._providers.get(kind)
        self._providers[kind] = provider
        try:
            self._check(provider, (kind,))
        except ServiceError:
            if before is None:
                del self._providers[kind]
            else:
                self._providers[kind] = before
            raise

    def find(self, kind: Any, path: tuple[Any, ...]) -> Provider:
        """The provider of ``kind``: the registered one, or the class itself if it can be."""
        provider = self._providers.get(kind)
        if provider is None and can_be_built(kind):
            provider = Provider(kind, kind, "scoped", is_implied=True)
            self._providers[kind] = provider
        if provider is None:
            raise ServiceError(
                f"nobody knows how to make {type_name(kind)}, so it cannot be handed over; "
                "register a factory with app.provide(Type, factory)",
                kind=kind,
                path=path,
            )
        self._check(provider, path)
        return provider

    def wanted(self, provider: Provider) -> Iterator[tuple[str, Any]]:
        """The parameters to be filled: name and type. Those with a default and no provider are not."""
        for name, parameter in provider.parameters.items():
            if not parameter.is_optional or parameter.kind in self._providers:
                yield name, parameter.kind

    def _check(self, provider: Provider, path: tuple[Any, ...]) -> None:
        """Refuse cycles, and singletons that would outlive what they are made of."""
        for _, kind in self.wanted(provider):
            if kind in path:
                raise ServiceError(
                    f"{type_name(kind)} would need itself, so neither could be built first; "
                    "take one of the parameters out of the circle",
                    kind=kind,
                    path=(*path, kind),
                )
            inner = self._providers.get(kind)
            if inner is None:
                continue
            is_kept = inner.lifetime == "scoped" and not inner.is_implied
            if provider.lifetime == "singleton" and is_kept:
                raise ServiceError(
                    f"the singleton {type_name(provider.kind)} would keep the scoped "
                    f"{type_name(kind)} beyond its job; make the first scoped, or the second a "
                    "singleton",
                    kind=kind,
                    path=(*path, kind),
                )
            self._check(inner, (*path, kind))
