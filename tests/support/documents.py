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
    objects = (
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R{_FONT}>>",
        f"<</Length {len(stream)}>>\nstream\n{stream}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    octets, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(octets))
        octets += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{at:010} 00000 n \n" for at in places)
    return (
        octets
        + (
            f"xref\n0 6\n0000000000 65535 f \n{table}trailer\n<</Size 6/Root 1 0 R>>\n"
            f"startxref\n{len(octets)}\n%%EOF\n"
        ).encode()
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
