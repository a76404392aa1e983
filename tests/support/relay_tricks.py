"""Every trick that has opened a relay, and what must become of it where a stranger tries it.

The house has the domains example.test, strasse.test and xn--bcher-kva.test, each with an anna, and
is called mx.example.test.
"""

DOMAINS = ("example.test", "strasse.test", "xn--bcher-kva.test")
SYNTAX, UNKNOWN, DENIED = "5.1.3", "5.1.1", "5.7.1"  # RFC 3463
HERE = "here"  # taken for a mailbox of ours

TRICKS = [
    # the percent hack, and what it was dressed up as
    ("x%far.test@example.test", UNKNOWN),
    ("x%far.test@mx.example.test", UNKNOWN),
    ("x%far.test%example.test@example.test", UNKNOWN),
    ("x%40far.test@example.test", UNKNOWN),
    ("anna%far.test", SYNTAX),
    ("x%00@far.test", DENIED),
    # bang paths
    ("far.test!x@example.test", UNKNOWN),
    ("example.test!far.test!x", SYNTAX),
    ("far.test!x", SYNTAX),
    ("x!y%far.test@example.test", UNKNOWN),
    # source routes: dropped unread, the last domain counts (RFC 5321, Appendix C)
    ("@example.test:x@far.test", DENIED),
    ("@example.test,@mx.example.test:x@far.test", DENIED),
    ("@far.test:x@example.test", UNKNOWN),
    ("@example.test:@example.test:x@far.test", SYNTAX),
    ("@example.test,x@far.test", SYNTAX),
    # quoted local parts, nested quotes
    ('"x@far.test"@example.test', UNKNOWN),
    ('"x@far.test@example.test"', SYNTAX),
    ('"x@far.test', SYNTAX),
    ('x@far.test"@example.test', SYNTAX),
    ('"\\"x@far.test\\""@example.test', UNKNOWN),
    ('""x@far.test""@example.test', SYNTAX),
    ('"x"@far.test"@example.test', SYNTAX),
    ('"x>"@far.test', DENIED),
    ('"anna"@example.test@far.test', SYNTAX),
    ("x\\@far.test@example.test", SYNTAX),
    ('"x\\@far.test"@example.test', UNKNOWN),
    # several addresses for one
    ("x@far.test@example.test", SYNTAX),
    ("anna@example.test,x@far.test", SYNTAX),
    ("anna@example.test;x@far.test", SYNTAX),
    ("anna@example.test x@far.test", SYNTAX),
    ("anna@example.test(x@far.test)", SYNTAX),
    # address literals, integers, other spellings of an address
    ("x@[203.0.113.9]", DENIED),
    ("x@[IPv6:2001:db8::9]", DENIED),
    ("x@[ipv6:::ffff:203.0.113.9]", DENIED),
    ("x@[0x7f.1]", SYNTAX),
    ("x@203.0.113.9", DENIED),
    ("x@3405803785", DENIED),
    ("x@[far.test]", SYNTAX),
    ("x@#3405803785", SYNTAX),
    # dots and cases
    ("x@far.test.", SYNTAX),
    ("anna@example.test.", SYNTAX),
    ("x@.example.test", SYNTAX),
    ("x@example..test", SYNTAX),
    ("x@FAR.TEST", DENIED),
    ("x@Mx.Example.Test", UNKNOWN),
    ("x@sub.example.test", DENIED),
    ("x@example.test.far.test", DENIED),
    ("x@notexample.test", DENIED),
    # no local part, no domain
    ("@example.test", SYNTAX),
    ("x@", SYNTAX),
    ("@", SYNTAX),
    ('""@far.test', DENIED),
    # a detail with a way out
    ("anna+x@far.test@example.test", SYNTAX),
    ('"anna+x@far.test"@example.test', HERE),
    ("x+anna@far.test", DENIED),
    # SRS of our own making is for bounces, and signed
    ("SRS0=AAAA=ZZ=far.test=x@example.test", UNKNOWN),
    ("SRS1=AAAA=far.test==BBBB=ZZ=other.test=x@example.test", UNKNOWN),
    # domains that look like ours or fold into ours: they are others'
    ("anna@ex\u0430mple.test", DENIED),
    ("anna@\uff45xample.test", DENIED),
    ("anna@example\u3002test", DENIED),
    ("anna@example.test\u3002", DENIED),
    ("anna@exam\u200bple.test", DENIED),
    ("anna@exam\u00adple.test", DENIED),
    ("anna@stra\u00dfe.test", DENIED),
    ("anna@xn--strae-oqa.test", DENIED),
    ("anna@xn--example-.test", SYNTAX),
    ("anna@xn--.example.test", SYNTAX),
    ("anna\uff20far.test@example.test", UNKNOWN),
    ("x\uff05far.test@example.test", UNKNOWN),
    ("x\u0085y@far.test", SYNTAX),
    # the honest ones, so that the table can fail both ways
    ("anna@example.test", HERE),
    ("ANNA@EXAMPLE.TEST", HERE),
    ('"anna"@example.test', HERE),
    ("@far.test:anna@example.test", HERE),
    ("anna@strasse.test", HERE),
    ("anna@b\u00fccher.test", HERE),
    ("anna@B\u00dcCHER.test", HERE),
    ("anna@xn--bcher-kva.test", HERE),
]
