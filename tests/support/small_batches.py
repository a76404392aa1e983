"""The postmaster as it is, but for the size of its batches: so that it can be killed among few mails."""

from postmaster import queueing
from postmaster.__main__ import main

if __name__ == "__main__":
    queueing.BATCH = 10
    main()
