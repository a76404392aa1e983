"""Object storage: one port, and its drivers.

One object per accepted message, a plain .eml; written once, shared by all its readers.
"""

from posthouse.blobs.opening import BadStore, open_blobs
from posthouse.blobs.port import Blobs, StoredObject

__all__ = ["BadStore", "Blobs", "StoredObject", "open_blobs"]
