"""Jobs in memory, beside those of a storage."""

from .beside import Beside as Beside
from .transient import Transient as Transient
from .transient import is_durable as is_durable
