"""Whose mail it is: SPF, DKIM, DMARC, ARC, and how their results are written. Pure: DNS is asked through `names`."""
