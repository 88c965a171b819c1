"""Classes whose own code raises what it likes at a value that is read."""

from __future__ import annotations

from enum import Enum

import attrs
import pydantic


class Moody(Enum):
    GOOD = "good"

    @classmethod
    def _missing_(cls, value: object) -> Moody:
        return {"fine": Moody.GOOD}[str(value)]


class Checked(pydantic.BaseModel):
    value: int

    @pydantic.field_validator("value")
    @classmethod
    def _look_up(cls, value: int) -> int:
        return {1: 1}[value]


@attrs.define
class Refusing:
    value: int

    def __attrs_post_init__(self) -> None:
        assert {1: True}[self.value]
