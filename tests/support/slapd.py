"""A private LDAP directory: OpenLDAP's slapd in a folder of its own, with some people in it."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from onemachine.certificates import Certificates
from onemachine.children import Child, Command, Registry, spawn
from onemachine.ports import LOOPBACK
from onemachine.ready import wait_ready
from posthouse.credentials.ldap.connection import Connection, Lost, Protection, Server

BASE = "dc=example,dc=test"
PEOPLE = f"ou=people,{BASE}"
OUR_NAME = f"cn=posthouse,{BASE}"
OUR_PASSWORD = "of the house"  # noqa: S105 - of a directory that lives for a test
_PROGRAM = Path("/usr/sbin/slapd")

_CONFIGURATION = f"""
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile $home/pid
TLSCACertificateFile $authority
TLSCertificateFile $chain
TLSCertificateKeyFile $key
access to * by dn.exact="{OUR_NAME}" read by anonymous auth by * none
database mdb
suffix "{BASE}"
directory $home/data
maxsize 10485760
"""
_PEOPLE = f"""
dn: {BASE}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: {OUR_NAME}
objectClass: applicationProcess
objectClass: simpleSecurityObject
cn: posthouse
userPassword: {OUR_PASSWORD}
"""
_PERSON = f"""
dn: uid=$uid,{PEOPLE}
objectClass: inetOrgPerson
uid: $uid
cn: $uid
sn: $uid
mail: $mail
userPassword: $password
"""


@dataclass(kw_only=True)
class Slapd:
    """One server.

    Attributes:
        people: User id, address and password of everybody in it.
    """

    home: Path
    plain_port: int
    tls_port: int
    certificates: Certificates
    people: tuple[tuple[str, str, str], ...]
    child: Child | None = field(default=None, init=False)

    def server(self, *, tls: bool = False, plaintext: bool = False) -> Server:
        """Return its address: StartTLS unless said otherwise."""
        port = self.tls_port if tls else self.plain_port
        protection: Protection = "tls" if tls else "none" if plaintext else "starttls"
        return Server(host="localhost", port=port, protection=protection)

    def trust(self) -> ssl.SSLContext:
        """Return a context that trusts it."""
        return ssl.create_default_context(cafile=str(self.certificates.authority))

    async def start(self) -> None:
        """Start it, with its people if it is new, and wait until it answers."""
        configuration, data = self.home / "slapd.conf", self.home / "data"
        # Debian's AppArmor profile names the program by its path, and lets it see only its own.
        program = self.home / "slapd"
        if not data.exists():
            data.mkdir(parents=True)
            shutil.copy(_PROGRAM, program)
            configuration.write_text(self._filled(_CONFIGURATION))
            self._load(program, configuration)
        where = f"ldap://{LOOPBACK}:{self.plain_port}/ ldaps://{LOOPBACK}:{self.tls_port}/"
        argv = [str(program), "-f", str(configuration), "-h", where, "-d", "none"]
        registry = Registry(self.home)
        command = Command(name="slapd", argv=argv, env=dict(os.environ), stop=signal.SIGTERM)
        self.child = await spawn(command, registry)
        await wait_ready(self.child, registry, self._question)

    async def stop(self) -> None:
        """End it; its people stay for the next start."""
        if self.child is not None:
            await self.child.stop()

    def _load(self, program: Path, configuration: Path) -> None:
        entries = [_PEOPLE]
        for uid, mail, password in self.people:
            person = _PERSON.replace("$uid", uid).replace("$mail", mail)
            entries.append(person.replace("$password", password))
        subprocess.run(
            [program, "-T", "add", "-f", configuration], input="".join(entries),
            text=True, check=True, capture_output=True, timeout=30,
        )  # fmt: skip

    def _filled(self, text: str) -> str:
        words = {
            "$home": self.home,
            "$authority": self.certificates.authority,
            "$chain": self.certificates.chain,
            "$key": self.certificates.key,
        }
        for word, value in words.items():
            text = text.replace(word, str(value))
        return text

    async def _question(self) -> str | None:
        try:
            connection = await Connection.open(self.server(plaintext=True), self.trust())
        except Lost as lost:
            return str(lost)
        connection.close()
        return None
