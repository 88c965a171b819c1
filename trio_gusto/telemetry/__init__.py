"""Who listens: spans and metrics of what the actors do, through OpenTelemetry.

The only room that speaks OpenTelemetry. It is told what happens and decides nothing.
"""

from __future__ import annotations

from .names import METER_NAME, TRACER_NAME
from .telemetry import Telemetry

__all__ = ["METER_NAME", "TRACER_NAME", "Telemetry"]
