"""Who listens: spans and metrics of what the actors do, through OpenTelemetry.

The only room that speaks OpenTelemetry, so the types of its providers leave from here too. It is
told what happens and decides nothing.
"""

from __future__ import annotations

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from .names import METER_NAME, TRACER_NAME
from .telemetry import Telemetry

__all__ = ["METER_NAME", "TRACER_NAME", "MeterProvider", "Telemetry", "TracerProvider"]
