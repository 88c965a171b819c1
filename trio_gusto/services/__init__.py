"""Where service objects come from and how long they live."""

from .protocols import Lifetime as Lifetime
from .protocols import Scope as Scope
from .protocols import ServiceError as ServiceError
from .protocols import ServiceResolver as ServiceResolver
from .services import Services as Services
