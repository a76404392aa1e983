"""SPF (RFC 7208): may this host send for this domain?"""

from posthouse.authenticity.spf.evaluation import Spf, SpfResult, check_host

__all__ = ["Spf", "SpfResult", "check_host"]
