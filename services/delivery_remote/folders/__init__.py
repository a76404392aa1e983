"""Final delivery into folders and files of a classic host: Maildir and mbox, below one root."""

from delivery_remote.folders.filing import Filed, Filing

__all__ = ["Filed", "Filing"]
