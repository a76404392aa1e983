"""Small documents, and letters that carry them."""

from __future__ import annotations

import zipfile
from base64 import encodebytes
from io import BytesIO

_FONT = "/Resources<</Font<</F1 5 0 R>>>>"


def zipped(**members: str) -> bytes:
    """An archive; ``__`` in a name is a slash, ``_`` a dot."""
    octets = BytesIO()
    with zipfile.ZipFile(octets, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), text)
    return octets.getvalue()


def docx(*runs: str) -> bytes:
    """A document of one paragraph: its runs follow each other without a space."""
    written = "".join(f"<w:r><w:t>{run}</w:t></w:r>" for run in runs)
    return zipped(
        word__document_xml=f'<w:document xmlns:w="w"><w:p>{written}</w:p><w:x>no</w:x></w:document>'
    )


def pdf(text: str) -> bytes:
    """A page with one line of ASCII."""
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
    return pdf_of(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R{_FONT}>>".encode(),
        f"<</Length {len(stream)}>>\nstream\n{stream}\nendstream".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )


def pdf_of(*objects: bytes) -> bytes:
    """A document of these objects, numbered from 1; the first is its catalog."""
    octets, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(octets))
        octets += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % at for at in places)
    size = len(objects) + 1
    return octets + (
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<</Size %d/Root 1 0 R>>\n"
        b"startxref\n%d\n%%%%EOF\n" % (size, table, size, len(octets))
    )


def attached(name: str, octets: bytes, kind: str = "application/octet-stream") -> bytes:
    """A letter with one attachment."""
    return (
        b"Subject: look\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\n\r\nsee below\r\n--b\r\n"
        + f'Content-Type: {kind}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n'.encode()
        + encodebytes(octets).replace(b"\n", b"\r\n")
        + b"--b--\r\n"
    )
