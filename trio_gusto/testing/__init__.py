"""What tests need: the conformance suite for storages. Imports neither pytest nor hypothesis."""

from .storage_contract import STORAGE_CHECKS, check_storage

__all__ = ["STORAGE_CHECKS", "check_storage"]
